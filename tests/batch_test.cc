// Batches by the real program, on both engines, here and through a server: exactly one result for
// every input whatever dies on the way, nothing done twice, and limits that hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "base/json.h"
#include "support/model_server.h"
#include "support/postgres_server.h"
#include "support/program.h"
#include "support/serving.h"

namespace tertulia::test {
namespace {

namespace json = base::json;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kTwoSteps = R"(tertulia: 1
name: pair
roles: { a: { name: Ann, prompt: You ask. }, b: { name: Bob, prompt: You answer. } }
vars: { n: 1 }
steps:
  - { speak: a, task: "Ask {{vars.n}} things about {{topic}}.", retry: { attempts: 4, backoff: 1ms } }
  - { speak: b, to: a, retry: { attempts: 4, backoff: 1ms } }
)";

json::object parse(const std::string& text) {
  auto value = base::parse_json(text);
  EXPECT_TRUE(value) << text;
  return value && value->is_object() ? value->get_object() : json::object();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string member(const json::object& object, const char* name) {
  return std::string(object.at(name).get_string());
}

std::string inputs(int count, int from = 1) {
  std::string text;
  for (int i = from; i < from + count; ++i)
    text += "{\"id\": \"in-" + std::to_string(i) + "\", \"topic\": \"Topic " + std::to_string(i) +
            "\", \"vars\": {\"n\": " + std::to_string(i) + "}}\n";
  return text;
}

// A server whose n-th request may fail, and which says when a number has come.
class Server final {
 public:
  using Fault = std::function<bool(int number, const ReceivedRequest&, Reply&)>;
  explicit Server(Fault fault = {})
      : fault_(std::move(fault)), server_([this](const ReceivedRequest& request, Reply& reply) {
          const int number = ++requests_;
          {
            const std::scoped_lock lock(mutex_);
            changed_.notify_all();
          }
          if (fault_ && fault_(number, request, reply)) return;
          ++answers_;
          reply.begin();
          reply.chunk(sse_completion({"Words ", "of one."}, "stop", CompletionUsage{100, 50}));
          reply.end();
        }) {}

  void wait_for(int number) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return requests_ >= number; });
  }
  [[nodiscard]] int requests() const { return requests_; }
  [[nodiscard]] int answers() const { return answers_; }
  [[nodiscard]] std::string base_url() const { return server_.base_url(); }
  [[nodiscard]] std::string model() const { return "openai/any@" + server_.base_url(); }

 private:
  Fault fault_;
  std::atomic<int> requests_ = 0, answers_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  ModelServer server_;  // last: its threads use the rest
};

struct Where {
  const char* name;
  bool on_postgres;
  bool through_server;
};
std::string name_of(const testing::TestParamInfo<Where>& info) {
  return info.param.name;
}

class BatchTest : public testing::TestWithParam<Where> {
 protected:
  BatchTest() {
    World& keeper = through_server() ? there_ : world_;
    if (GetParam().on_postgres) keeper.database = PostgresServer::shared().create_database();
    flow_ = world_.write("pair.yaml", kTwoSteps);
    out_ = world_.path("out.jsonl");
    if (through_server()) serve({"--model", "rehearsal"});
  }
  static bool through_server() { return GetParam().through_server; }
  // The world whose database has the batch.
  World& keeper() { return through_server() ? there_ : world_; }
  void serve(const std::vector<std::string>& more) {
    const std::uint16_t port = served_ ? served_->port() : std::uint16_t{0};
    served_.reset();
    served_ = std::make_unique<Serving>(there_, more, port);
    world_.environment["TERTULIA_SERVER"] = served_->url();
  }
  // What a command needs to be said beside its profile of this configuration.
  std::vector<std::string> configured(const std::string& yaml) {
    const std::string file = keeper().write("c.yaml", yaml);
    if (!through_server()) return {"--config", file};
    serve({"--config", file, "--model", "rehearsal"});
    return {};
  }
  std::vector<std::string> command(const std::string& file, const std::string& model,
                                   const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words{"batch", flow_,     "--inputs", file,    "--out",
                                   out_,    "--model", model,      "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  // Every input's id has exactly one line, and it is the result of its own session.
  void expect_one_line_each(int count) const {
    const auto lines = lines_of(read_file(out_));
    EXPECT_EQ(lines.size(), static_cast<std::size_t>(count));
    std::set<std::string> ids;
    std::set<std::int64_t> sessions;
    for (const std::string& line : lines) {
      const json::object result = parse(line);
      const std::string id = member(result, "id");
      EXPECT_TRUE(ids.insert(id).second) << id << " is there twice";
      EXPECT_TRUE(sessions.insert(result.at("session").get_int64()).second) << line;
      EXPECT_EQ(member(result, "topic"), "Topic " + id.substr(3)) << line;
      EXPECT_EQ(result.at("messages").get_array().size(), 2u) << line;
    }
  }
  World world_;
  World there_;  // the server's, where there is one
  std::unique_ptr<Serving> served_;
  std::string flow_, out_;
};

TEST_P(BatchTest, EveryInputHasOneResultAfterTwoKillsAmongFaults) {
  constexpr int kInputs = 150, kAtOnce = 12;
  // Two in a hundred: an error of the server, a connection that breaks, a stream that does.
  Server server([](int number, const ReceivedRequest&, Reply& reply) {
    if (number % 50 != 0) return false;
    if (number % 150 == 0) {
      reply.reset();
    } else if (number % 100 == 0) {
      reply.begin();
      reply.chunk(sse_word("Half a"));
      reply.reset();
    } else {
      reply.answer(500, R"({"error": {"message": "no luck"}})");
    }
    return true;
  });
  const std::string file = world_.write("in.jsonl", inputs(kInputs));
  const auto words = command(file, server.model(), {"--concurrency", std::to_string(kAtOnce)});
  for (const int at : {70, 190}) {
    Running running = world_.start(words);
    server.wait_for(at);
    running.signal(SIGKILL);
    EXPECT_EQ(running.finish().signal, SIGKILL);
  }
  const Finished last = world_.run(words);
  EXPECT_EQ(last.status, 0) << last.out << last.err;
  expect_one_line_each(kInputs);
  EXPECT_LE(server.answers(), 2 * kInputs + 2 * kAtOnce)
      << "at most the calls in flight at a kill are paid twice";
  EXPECT_LT(parse(last.out).at("done_now").get_int64(), kInputs) << "the rest was done before";
  const Finished verify = keeper().run({"db", "verify"});
  EXPECT_EQ(verify.status, 0) << verify.out << verify.err;

  // The output is a view: it comes back from any beginning of it, without a call.
  const int requests = server.requests();
  const std::string whole = read_file(out_);
  for (const std::size_t left : {whole.size() / 3, whole.size() - 17, whole.find('\n') + 1,
                                 std::size_t{5}, std::size_t{0}}) {
    std::ofstream(out_, std::ios::trunc) << whole.substr(0, left);
    EXPECT_EQ(world_.run(words).status, 0);
    EXPECT_EQ(read_file(out_), whole) << "of which " << left << " bytes were left";
  }
  EXPECT_EQ(server.requests(), requests);
}

TEST_P(BatchTest, OnlyWhatIsMissingIsDone) {
  Server server;
  const std::string file = world_.write("in.jsonl", inputs(10));
  ASSERT_EQ(world_.run(command(file, server.model())).status, 0);
  EXPECT_EQ(server.requests(), 20);
  const Finished again = world_.run(command(file, server.model()));
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(server.requests(), 20) << "all is done";
  world_.write("in.jsonl", inputs(13));
  EXPECT_EQ(world_.run(command(file, server.model())).status, 0);
  EXPECT_EQ(server.requests(), 26) << "three more";
  expect_one_line_each(13);

  // A session whose result is in the output may go; its input is not done again.
  const json::object first = parse(lines_of(read_file(out_)).front());
  EXPECT_EQ(world_.run({"session", "delete", base::to_text(first.at("session"))}).status, 0);
  EXPECT_EQ(world_.run(command(file, server.model())).status, 0);
  EXPECT_EQ(server.requests(), 26);
  expect_one_line_each(13);

  // An input that was changed under its id is refused.
  std::string changed = inputs(13);
  changed.replace(changed.find("Topic 3"), 7, "Tea    ");
  world_.write("in.jsonl", changed);
  const Finished refused = world_.run(command(file, server.model()));
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("in.jsonl:3: this batch has begun another input"));
  const Finished listed = world_.run({"session", "list", "--batch", "1", "--json"});
  EXPECT_EQ(parse(listed.out).at("items").get_array().size(), 12u);
}

TEST_P(BatchTest, BadInputIsRefusedWithItsLineAndNothingIsMade) {
  struct Case {
    const char* name;
    const char* text;
    const char* message;
  };
  for (const Case& c : {
           Case{"a.jsonl", "{\"id\":\"x\"}\n{\"id\":\"y\"}\n{\"id\":\"x\"}\n",
                "a.jsonl:3: the id of this input is that of line 1"},
           {"a.jsonl", "{\"id\":\"2\"}\n{}\n", "a.jsonl:2: the id of this input is that of line 1"},
           {"a.jsonl", "{}\n\n{\"topik\": \"t\"}\n",
            "a.jsonl:3: an input has no member 'topik'; did you mean 'topic'?"},
           {"a.jsonl", "{}\n[1]\n", "a.jsonl:2: an input is a JSON object"},
           {"a.jsonl", "{}\n{\"topic\"\n", "a.jsonl:2: "},
           {"a.jsonl", "{\"seed\": -1}\n", "a.jsonl:1: seed: expected a whole number"},
           {"a.jsonl", "{\"vars\": {\"m\": 1}}\n", "a.jsonl:1: the flow has no variable 'm'"},
           {"a.jsonl", "{\"cast\": {\"c\": \"Ann\"}}\n", "a.jsonl:1: the flow has no role 'c'"},
           {"a.jsonl", "{\"cast\": {\"a\": \"Nobody\"}}\n", "no such stored role"},
           {"a.jsonl", "\n", "a.jsonl holds no input"},
           {"a.jsonl", "{\"topic\": \"\xFF\"}\n", "a.jsonl:1: this is not UTF-8"},
           {"a.csv", "id,topic\nx,\"Tea, or\n coffee\"\nx,Tea\n",
            "a.csv:4: the id of this input is that of line 2"},
           {"a.csv", "id,topic\nx,\"Tea\n", "a.csv:2: a quote is opened here and never closed"},
           {"a.csv", "id,topic\nx,Tea,more\n", "a.csv:2: the first line names 2 columns"},
           {"a.csv", "id,tpic\nx,Tea\n", "a.csv:1: an input has no column 'tpic'"},
           {"a.csv", "id,id\nx,Tea\n", "a.csv:1: the column 'id' is there twice"},
           {"a.csv", "id,seed\nx,many\n", "a.csv:2: seed: expected a whole number"},
       }) {
    const std::string file = world_.write(c.name, c.text);
    const Finished refused = world_.run(command(file, "rehearsal"));
    EXPECT_EQ(refused.status, 2) << c.text << refused.err;
    EXPECT_THAT(refused.err, HasSubstr(c.message)) << c.text;
  }
  const std::string file = world_.write("a.jsonl", "{}\n");
  struct Wrong {
    std::vector<std::string> words;
    const char* message;
  };
  for (const Wrong& wrong : {
           Wrong{{"batch", flow_, "--inputs", file, "--model", "rehearsal"}, "--out is missing"},
           {{"batch", flow_, "--inputs", world_.path("no"), "--out", out_, "--model", "rehearsal"},
            "No such file"},
           {command(file, "rehearsal", {"--format", "openai"}), "wants --as ROLE"},
           {command(file, "rehearsal", {"--format", "openai", "--as", "aa"}), "no role 'aa'"},
           {command(file, "rehearsal", {"--roles", "a,bb"}), "no role 'bb'"},
           {command(file, "rehearsal", {"--format", "sharegpt", "--as", "a", "--roles", "b"}),
            "not among --roles"},
           {command(file, "rehearsal", {"--max-cost", "1"}), "the profile rehearsal has none"},
       }) {
    const Finished refused = world_.run(wrong.words);
    EXPECT_EQ(refused.status, 2) << refused.err;
    EXPECT_THAT(refused.err, HasSubstr(wrong.message));
  }
  if (!through_server()) {
    const Finished refused = world_.run({"batch", flow_, "--inputs", file, "--out", out_});
    EXPECT_EQ(refused.status, 2);
    EXPECT_THAT(refused.err, HasSubstr("which model speaks"));
  }
  for (const char* const other : {"{\"mine\": 1}\n", "my notes, without an end of line"}) {
    world_.write("out.jsonl", other);
    const Finished refused = world_.run(command(file, "rehearsal"));
    EXPECT_EQ(refused.status, 2);
    EXPECT_THAT(refused.err, HasSubstr("something else than the results of this batch"));
    EXPECT_EQ(read_file(out_), other) << "left as it was";
  }
  const Finished list = world_.run({"session", "list", "--json"});
  EXPECT_EQ(parse(list.out).at("items").get_array().size(), 0u) << list.out;
}

TEST_P(BatchTest, CsvWithQuotes) {
  ASSERT_EQ(
      world_.run({"role", "import", world_.write("role.yaml", "name: Zoë\nprompt: You are Zoë.\n")})
          .status,
      0);
  const std::string file = world_.write("in.csv",
                                        "\xEF\xBB\xBFid,topic,vars.n,cast.b,seed\r\n"
                                        "one,\"Tea, or \"\"coffee\"\"?\",3,,7\r\n"
                                        "two,\"Two\nlines\",,Zoë,\r\n"
                                        ",Plain,,,\r\n");
  const Finished run = world_.run(command(file, "rehearsal"));
  ASSERT_EQ(run.status, 0) << run.err;
  std::map<std::string, json::object> results;
  for (const std::string& line : lines_of(read_file(out_))) {
    const json::object result = parse(line);
    results[member(result, "id")] = result;
  }
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(member(results.at("one"), "topic"), "Tea, or \"coffee\"?");
  EXPECT_THAT(base::to_text(results.at("one").at("messages")), HasSubstr("Ask 3 things"));
  EXPECT_EQ(member(results.at("two"), "topic"), "Two\nlines");
  EXPECT_THAT(base::to_text(results.at("two").at("messages")), HasSubstr("\"name\":\"Zoë\""));
  EXPECT_EQ(member(results.at("5"), "topic"), "Plain") << "the number of its line";
  const Finished shown = world_.run(
      {"session", "export", base::to_text(results.at("one").at("session")), "--format", "json"});
  EXPECT_THAT(shown.out, HasSubstr("\"seed\": 7"));
}

TEST_P(BatchTest, FailuresHaveAFileAndAreTriedAgainInTheirSessions) {
  std::atomic<bool> is_strict = true;
  Server server([&](int, const ReceivedRequest& request, Reply& reply) {
    if (!is_strict || request.body.find("Topic 4") == std::string::npos) return false;
    reply.answer(400, R"({"error": {"message": "not about that"}})");
    return true;
  });
  const std::string file = world_.write("in.jsonl", inputs(6));
  const Finished run = world_.run(command(file, server.model()));
  EXPECT_EQ(run.status, 1) << run.err;
  EXPECT_THAT(run.err, HasSubstr("5 of 6 inputs have their result"));
  const std::string failures = out_ + ".failures.jsonl";
  const json::object failure = parse(read_file(failures));
  EXPECT_EQ(member(failure, "id"), "in-4");
  EXPECT_THAT(member(failure, "reason"), HasSubstr("not about that"));
  expect_one_line_each(5);
  is_strict = false;
  const Finished again = world_.run(command(file, server.model()));
  EXPECT_EQ(again.status, 0) << again.err;
  expect_one_line_each(6);
  EXPECT_EQ(parse(lines_of(read_file(out_)).back()).at("session").get_int64(),
            failure.at("session").get_int64())
      << "resumed, not made anew";
  EXPECT_EQ(read_file(failures), "") << "it is gone";
}

TEST_P(BatchTest, AnInterruptPausesAndSaysHowToGoOn) {
  Server server;
  const std::string file = world_.write("in.jsonl", inputs(400));
  const auto words = command(file, server.model(), {"--concurrency", "4"});
  Running running = world_.start(words);
  server.wait_for(30);
  running.signal(SIGINT);
  const Finished paused = running.finish();
  ASSERT_EQ(paused.status, 130) << paused.err;
  EXPECT_EQ(parse(paused.out).at("failures").get_int64(), 0) << "a pause is no failure";
  const auto told = lines_of(paused.err);
  EXPECT_THAT(told.back(), HasSubstr("tertulia batch " + flow_ + " --inputs " + file));
  const auto done = static_cast<int>(lines_of(read_file(out_)).size());
  EXPECT_EQ(parse(paused.out).at("done").get_int64(), done);
  EXPECT_LT(done, 400);
  const Finished rest = world_.run(words);
  EXPECT_EQ(rest.status, 0) << rest.err;
  expect_one_line_each(400);
  EXPECT_EQ(server.requests(), 800) << "no call was made twice";
}

TEST_P(BatchTest, MaxCostStopsBeginningAndDryRunCallsNothing) {
  Server server;
  // 100 and 50 tokens a call at these prices: $0.02 a session.
  const auto config = configured("models:\n  paid: { provider: openai, model: any, base_url: '" +
                                 server.base_url() + "', price: { input: 50, output: 100 } }\n");
  const std::string file = world_.write("in.jsonl", inputs(30));
  const auto words = [&](const std::vector<std::string>& more) {
    auto all = command(file, "paid", {"--concurrency", "4"});
    all.insert(all.end(), config.begin(), config.end());
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const Finished dry = world_.run(words({"--dry-run"}));
  ASSERT_EQ(dry.status, 0) << dry.err;
  const json::object estimate = parse(dry.out).at("estimate").get_object();
  EXPECT_EQ(estimate.at("calls").get_int64(), 60);
  EXPECT_GT(estimate.at("cost_usd").get_double(), 0);
  EXPECT_EQ(server.requests(), 0);
  EXPECT_EQ(parse(world_.run({"session", "list", "--json"}).out).at("items").get_array().size(),
            0u);

  const Finished stopped = world_.run(words({"--max-cost", "0.2"}));
  EXPECT_EQ(stopped.status, 5) << stopped.err;
  EXPECT_THAT(stopped.err, HasSubstr("--max-cost MORE"));
  const json::object report = parse(stopped.out);
  EXPECT_EQ(member(report, "ending"), "max_cost");
  const double spent = report.at("usage").at("cost_usd").get_double();
  EXPECT_LE(spent, 0.2001);
  EXPECT_GE(spent, 0.15) << "what is kept back for those in flight comes free again";
  EXPECT_EQ(world_.run(words({"--max-cost", "0.2"})).status, 5) << "over the whole batch";
  const Finished rest = world_.run(words({"--max-cost", "5"}));
  EXPECT_EQ(rest.status, 0) << rest.err;
  expect_one_line_each(30);
  EXPECT_EQ(server.requests(), 60);
}

TEST_P(BatchTest, FormatsForTraining) {
  const std::string flow = world_.write("three.yaml", R"(tertulia: 1
name: three
roles:
  a: { name: Ann, prompt: You ask. }
  b: { name: Bob, prompt: You answer. }
  c: { name: Cyd, prompt: You doubt. }
steps:
  - { id: s1, speak: b }
  - { id: s2, speak: a }
  - { id: s3, speak: c }
  - { id: s4, speak: b }
)");
  Server server([](int number, const ReceivedRequest&, Reply& reply) {
    constexpr const char* kWords[] = {"One.", "Two.", "Three.", "Four."};
    reply.begin();
    reply.chunk(sse_completion({kWords[(number - 1) % 4]}, "stop", CompletionUsage{100, 50}));
    reply.end();
    return true;
  });
  const std::string file = world_.write("in.jsonl", "{\"topic\": \"Tea\"}\n");
  const auto made = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> words{"batch",          flow,      "--inputs",    file, "--out",
                                   world_.path(out), "--model", server.model()};
    words.insert(words.end(), more.begin(), more.end());
    const Finished run = world_.run(words);
    EXPECT_EQ(run.status, 0) << run.err;
    return read_file(world_.path(out));
  };
  EXPECT_EQ(made("o", {"--format", "openai", "--as", "b"}),
            R"({"messages":[{"role":"system","content":"You answer."},)"
            R"({"role":"user","content":"Tea"},{"role":"assistant","content":"One."},)"
            R"({"role":"user","content":"Ann: Two.\n\nCyd: Three."},)"
            R"({"role":"assistant","content":"Four."}]})"
            "\n");
  EXPECT_EQ(made("s", {"--format", "sharegpt", "--as", "b", "--roles", "a,b"}),
            R"({"conversations":[{"from":"system","value":"You answer."},)"
            R"({"from":"human","value":"Tea"},{"from":"gpt","value":"One."},)"
            R"({"from":"human","value":"Two."},{"from":"gpt","value":"Four."}]})"
            "\n");
  const json::object plain = parse(made("j", {"--roles", "c"}));
  EXPECT_EQ(base::to_text(plain.at("messages")), R"([{"role":"c","name":"Cyd","text":"Three."}])");
  const Finished list = world_.run({"session", "list", "--json"});
  EXPECT_EQ(parse(list.out).at("items").get_array().size(), 1u) << "one batch, three views of it";
}

TEST_P(BatchTest, AModelThatCannotBeUsedEndsItEarly) {
  Server server([](int, const ReceivedRequest&, Reply& reply) {
    reply.answer(401, R"({"error": {"message": "no such key"}})");
    return true;
  });
  const std::string file = world_.write("in.jsonl", inputs(500));
  const Finished run = world_.run(command(file, server.model(), {"--concurrency", "4"}));
  EXPECT_EQ(run.status, 4) << run.err;
  EXPECT_THAT(run.err, HasSubstr("could not use the model"));
  EXPECT_LT(server.requests(), 40);
}

// The limits of a profile, by the whole program.
TEST_P(BatchTest, NeverMoreCallsInFlightThanTheProfileAllows) {
  constexpr int kAllowed = 3;
  std::atomic<int> now = 0, most = 0;
  Gate all_there;
  Server server([&](int, const ReceivedRequest&, Reply&) {
    const int mine = ++now;
    for (int seen = most; mine > seen && !most.compare_exchange_weak(seen, mine);) {
    }
    if (mine >= kAllowed) all_there.open();
    all_there.wait();  // the first ones prove that so many are let in at once
    // A model that takes its time, in which one too many would be seen.
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    --now;
    return false;
  });
  auto more = configured("models:\n  main: { provider: openai, model: any, base_url: '" +
                         server.base_url() +
                         "', limits: { concurrent: " + std::to_string(kAllowed) + " } }\n");
  const std::string file = world_.write("in.jsonl", inputs(60));
  more.insert(more.end(), {"--concurrency", "40"});
  const Finished run = world_.run(command(file, "main", more));
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(most, kAllowed);
  expect_one_line_each(60);
}

TEST_P(BatchTest, TheBreakerStopsHammeringADeadServer) {
  Server server([](int, const ReceivedRequest&, Reply& reply) {
    reply.answer(503, R"({"error": {"message": "down"}})");
    return true;
  });
  auto more = configured(
      "models:\n  main: { provider: openai, model: any, base_url: '" + server.base_url() +
      "', limits: { concurrent: 2 }, breaker: { failures: 3, pause: 100ms } }\n");
  const std::string file = world_.write("in.jsonl", inputs(40));
  more.insert(more.end(), {"--concurrency", "40"});
  const Finished run = world_.run(command(file, "main", more));
  EXPECT_EQ(run.status, 1) << run.err;
  EXPECT_THAT(run.err, HasSubstr("one after another"));
  // Four attempts each would be 160 calls; what comes is the first burst and a probe a pause.
  EXPECT_LE(server.requests(), 16);
  EXPECT_GE(server.requests(), 4);
  RecordProperty("requests", server.requests());
  EXPECT_EQ(lines_of(read_file(out_ + ".failures.jsonl")).size(), 40u);
}

class BatchThere : public BatchTest {};

// The server dies twice, and is started again with its clients waiting.
TEST_P(BatchThere, GoesOnWhenItsServerComesBack) {
  constexpr int kInputs = 60, kAtOnce = 6;
  Server server;
  const std::string file = world_.write("in.jsonl", inputs(kInputs));
  Running running =
      world_.start(command(file, server.model(), {"--concurrency", std::to_string(kAtOnce)}));
  for (const int at : {20, 70}) {
    server.wait_for(at);
    served_->signal(SIGKILL);
    static_cast<void>(served_->finish());
    serve({"--model", "rehearsal"});
  }
  const Finished done = running.finish();
  EXPECT_EQ(done.status, 0) << done.out << done.err;
  expect_one_line_each(kInputs);
  EXPECT_LE(server.answers(), 2 * kInputs + 2 * kAtOnce)
      << "at most the calls in flight at a kill are paid twice";
}

// One batch, begun on a database and gone on with through a server on it: the same inputs.
TEST_P(BatchThere, IsTheSameBatchHereAndThroughAServer) {
  Server server;
  const std::string file =
      world_.write("in.csv", "id,topic,vars.n\nin-1,Topic 1,4\nin-2,Topic 2,\n");
  there_.environment.erase("TERTULIA_SERVER");
  const Finished here = there_.run(command(file, server.model()));
  ASSERT_EQ(here.status, 0) << here.err;
  const std::string whole = read_file(out_);
  const Finished there = world_.run(command(file, server.model()));
  EXPECT_EQ(there.status, 0) << there.err;
  EXPECT_EQ(server.requests(), 4) << "all was done";
  EXPECT_EQ(read_file(out_), whole);
}

const auto kHere = testing::Values(Where{"sqlite", false, false}, Where{"postgres", true, false});
const auto kThere =
    testing::Values(Where{"sqlite_there", false, true}, Where{"postgres_there", true, true});
INSTANTIATE_TEST_SUITE_P(Here, BatchTest, kHere, name_of);
INSTANTIATE_TEST_SUITE_P(There, BatchTest, kThere, name_of);
INSTANTIATE_TEST_SUITE_P(, BatchThere, kThere, name_of);

}  // namespace
}  // namespace tertulia::test
