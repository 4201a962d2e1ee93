#include "llm/recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "llm/recorder.h"
#include "support/temp_dir.h"

namespace tertulia::llm {
namespace {

using testing::HasSubstr;
using testing::Not;

Request request_at(std::string path, std::string text, int attempt = 1) {
  Request request;
  request.model = "m";
  request.system = "You are a critic. 你是批评者。";
  request.turns = {{Turn::Kind::user, "Write."}, {Turn::Kind::assistant, "Done."}};
  request.turns.push_back({Turn::Kind::user, std::move(text)});
  request.parameters.temperature = 0.7;
  request.hints.seed = 18'446'744'073'709'551'615U;
  request.hints.path = std::move(path);
  request.hints.attempt = attempt;
  request.hints.step = "critic";
  request.hints.iteration = 2;
  return request;
}

ModelProfile profile_called(std::string name) {
  ModelProfile profile;
  profile.name = std::move(name);
  profile.provider = "openai";
  profile.model = "m";
  profile.base_url = "https://user:hunter2@models.example.org/v1?token=hunter2";
  profile.key.env = "SECRET_KEY_VARIABLE";
  profile.parameters.temperature = 0.7;
  return profile;
}

// Says what it was made to say, as the scripted outcome.
class Scripted final : public Provider {
 public:
  explicit Scripted(std::vector<Answer> answers) : answers_(std::move(answers)) {}
  std::string_view protocol() const override { return "scripted"; }
  std::string wire_body(const Request& request) const override { return request.turns.back().text; }
  std::int64_t estimate_tokens(std::string_view text) const override {
    return static_cast<std::int64_t>(text.size());
  }
  std::unique_ptr<Call> start(const Request&, std::string, const Deadlines&,
                              Listener listener) override {
    const Answer answer = answers_.at(next_++);
    for (const char& c : answer.text)
      if (listener.on_text) listener.on_text({&c, 1});
    listener.on_done(answer);
    return finished_call();
  }

 private:
  std::vector<Answer> answers_;
  std::size_t next_ = 0;
};

Answer answer_of(Outcome outcome, std::string text, std::string error = {}) {
  Answer answer;
  answer.outcome = outcome;
  answer.text = std::move(text);
  answer.error = std::move(error);
  answer.finish_reason = "stop";
  answer.http_status = 200;
  answer.request_id = "req-1";
  answer.model = "m-2026";
  answer.usage = {.prompt_tokens = 9,
                  .completion_tokens = 3,
                  .cached_tokens = 2,
                  .reasoning_tokens = 1,
                  .reported = true};
  answer.first_token = std::chrono::milliseconds(5);
  answer.duration = std::chrono::milliseconds(8);
  return answer;
}

struct Heard {
  std::vector<std::string> pieces;
  Answer answer;
};

Heard ask(Provider& provider, const Request& request) {
  Heard heard;
  const auto call =
      provider.start(request, provider.wire_body(request), {},
                     {.on_text = [&](std::string_view text) { heard.pieces.emplace_back(text); },
                      .on_done = [&](Answer answer) { heard.answer = std::move(answer); }});
  return heard;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class RecordingTest : public ::testing::Test {
 protected:
  std::shared_ptr<Provider> recording(std::vector<Answer> answers,
                                      Recorder::Existing existing = Recorder::Existing::refuse) {
    auto opened = Recorder::open(file_, existing);
    EXPECT_TRUE(opened) << opened.error().message;
    return make_recording(std::make_shared<Scripted>(std::move(answers)), profile_called("main"),
                          *opened);
  }

  std::shared_ptr<Recording> loaded() {
    auto recording = Recording::load(file_);
    EXPECT_TRUE(recording) << recording.error().message;
    return *std::move(recording);
  }

  std::shared_ptr<Provider> replay(std::shared_ptr<Recording> recording) {
    return make_replay(std::make_shared<Scripted>(std::vector<Answer>()), std::move(recording));
  }

  const test::TempDir folder_;
  const std::string file_ = folder_.file("calls.jsonl");
};

TEST_F(RecordingTest, AReplaySaysWhatWasHeardPieceByPiece) {
  {
    const auto provider = recording(
        {answer_of(Outcome::rate_limited, "", "slow down"), answer_of(Outcome::ok, "Hi there")});
    EXPECT_EQ(ask(*provider, request_at("2/1", "Now.")).answer.outcome, Outcome::rate_limited);
    EXPECT_EQ(ask(*provider, request_at("2/1", "Now.", 2)).answer.text, "Hi there");
  }
  const auto whole = loaded();
  EXPECT_EQ(whole->seed(), 18'446'744'073'709'551'615U);
  const auto provider = replay(whole);
  EXPECT_EQ(provider->protocol(), "replay");
  EXPECT_EQ(provider->wire_body(request_at("2/1", "Now.")), "Now.") << "the recorded protocol's";
  const Heard first = ask(*provider, request_at("2/1", "Now."));
  EXPECT_EQ(first.answer.outcome, Outcome::rate_limited);
  EXPECT_EQ(first.answer.error, "slow down");
  const Heard second = ask(*provider, request_at("2/1", "Now.", 2));
  EXPECT_EQ(second.answer.outcome, Outcome::ok);
  EXPECT_EQ(second.answer.text, "Hi there");
  EXPECT_EQ(second.pieces.size(), 8U);
  EXPECT_EQ(second.answer.finish_reason, "stop");
  EXPECT_EQ(second.answer.http_status, 200);
  EXPECT_EQ(second.answer.request_id, "req-1");
  EXPECT_EQ(second.answer.model, "m-2026");
  EXPECT_EQ(second.answer.usage.prompt_tokens, 9);
  EXPECT_EQ(second.answer.usage.completion_tokens, 3);
  EXPECT_EQ(second.answer.usage.cached_tokens, 2);
  EXPECT_EQ(second.answer.usage.reasoning_tokens, 1);
  EXPECT_TRUE(second.answer.usage.reported);
  EXPECT_EQ(second.answer.duration.count(), 8);
  EXPECT_EQ(whole->parting(), "");
  EXPECT_EQ(whole->left_over(), "");
}

// A session that was paused and gone on with counts its attempts on.
TEST_F(RecordingTest, OfSeveralAttemptsTheAskedOrTheNextOrTheLast) {
  {
    const auto provider =
        recording({answer_of(Outcome::server, "", "oops"), answer_of(Outcome::cancelled, ""),
                   answer_of(Outcome::ok, "three")});
    for (const int attempt : {1, 2, 3}) (void)ask(*provider, request_at("1", "Now.", attempt));
  }
  const auto provider = replay(loaded());
  EXPECT_EQ(ask(*provider, request_at("1", "Now.", 1)).answer.outcome, Outcome::server);
  EXPECT_EQ(ask(*provider, request_at("1", "Now.", 2)).answer.text, "three")
      << "one that somebody stopped is not kept";
  EXPECT_EQ(ask(*provider, request_at("1", "Now.", 7)).answer.text, "three");
}

TEST_F(RecordingTest, HoldsNoSecret) {
  (void)ask(*recording({answer_of(Outcome::ok, "Hi")}), request_at("1", "Now."));
  const std::string text = text_of(file_);
  EXPECT_THAT(text, Not(HasSubstr("hunter2")));
  EXPECT_THAT(text, Not(HasSubstr("SECRET_KEY_VARIABLE")));
  const auto profile = loaded()->profile("");
  ASSERT_TRUE(profile) << profile.error().message;
  EXPECT_EQ(profile->name, "main");
  EXPECT_EQ(profile->recording, file_);
  EXPECT_EQ(profile->base_url, "https://models.example.org/v1");
  EXPECT_EQ(profile->parameters.temperature, 0.7);
  EXPECT_EQ(profile->key.env, "");
  const auto other = loaded()->profile("house");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("made with main"));
}

TEST_F(RecordingTest, SaysInWordsWhereARequestDiffers) {
  (void)ask(*recording({answer_of(Outcome::ok, "Hi")}), request_at("1", "It is your turn."));
  struct Case {
    const char* what;
    std::function<void(Request&)> change;
    const char* says;
  };
  for (const Case& c : std::vector<Case>{
           {"model", [](Request& r) { r.model = "n"; }, R"(the model: expected "m", found "n")"},
           {"system", [](Request& r) { r.system = "You are a critic. 你是作者。"; },
            "the system text from character 21 on: expected '批评者。', found '作者。'"},
           {"text", [](Request& r) { r.turns[2].text = "It is over."; },
            "message 3 (user) from character 7 on: expected 'your turn.', found 'over.'"},
           {"longer", [](Request& r) { r.turns[2].text += " Now."; },
            "message 3 (user) from character 17 on: expected its end, found ' Now.'"},
           {"role", [](Request& r) { r.turns[1].kind = Turn::Kind::user; },
            "message 2: expected one of assistant, found one of user"},
           {"count",
            [](Request& r) {
              r.turns.push_back({Turn::Kind::user, "x"});
            },
            "the number of messages: expected 3, found 4"},
           {"parameter", [](Request& r) { r.parameters.temperature = 1; },
            "parameter temperature: expected 0.7, found 1"},
           {"new parameter", [](Request& r) { r.parameters.max_tokens = 9; },
            "parameter max_tokens: expected none, found 9"},
           {"schema",
            [](Request& r) {
              r.schema = base::json::object{{"type", "object"}};
            },
            R"(the output schema: expected none, found {"type":"object"})"},
       }) {
    Request request = request_at("1", "It is your turn.");
    c.change(request);
    const auto whole = loaded();
    const Answer answer = ask(*replay(whole), request).answer;
    EXPECT_EQ(answer.outcome, Outcome::refused) << c.what;
    EXPECT_THAT(answer.error, HasSubstr(c.says)) << c.what;
    EXPECT_THAT(answer.error, HasSubstr("call 1 (step 'critic', 2. time)")) << c.what;
    EXPECT_EQ(whole->parting(), answer.error) << c.what;
  }
}

TEST_F(RecordingTest, APlaceThatWasNeverCalledAndACallThatNobodyAsks) {
  {
    const auto provider = recording({answer_of(Outcome::ok, "a"), answer_of(Outcome::ok, "b")});
    (void)ask(*provider, request_at("1", "x"));
    (void)ask(*provider, request_at("2", "x"));
  }
  const auto whole = loaded();
  const auto provider = replay(whole);
  EXPECT_THAT(whole->left_over(), HasSubstr("before call 1"));
  (void)ask(*provider, request_at("1", "x"));
  EXPECT_THAT(whole->left_over(), HasSubstr("before call 2"));
  EXPECT_EQ(whole->parting(), "");
  const Answer strange = ask(*provider, request_at("7", "x")).answer;
  EXPECT_EQ(strange.outcome, Outcome::refused);
  EXPECT_THAT(strange.error, HasSubstr("it was not called there; expected is call 2"));
  (void)ask(*provider, request_at("2", "x"));
  EXPECT_EQ(whole->left_over(), "");
  EXPECT_EQ(whole->parting(), strange.error);
}

TEST_F(RecordingTest, ALineThatACrashCutOffIsLeftOutAndWrittenAnew) {
  {
    const auto provider = recording({answer_of(Outcome::ok, "a"), answer_of(Outcome::ok, "b")});
    (void)ask(*provider, request_at("1", "x"));
    (void)ask(*provider, request_at("2", "x"));
  }
  const std::string whole = text_of(file_);
  const std::size_t second = whole.rfind('\n', whole.size() - 2) + 1;
  for (std::size_t cut = second; cut < whole.size(); ++cut) {
    std::filesystem::resize_file(file_, cut);
    ASSERT_EQ(loaded()->last_number(), 1) << cut;
    (void)ask(*recording({answer_of(Outcome::ok, "b")}, Recorder::Existing::append),
              request_at("2", "x"));
    ASSERT_EQ(text_of(file_), whole) << cut;
  }
}

TEST_F(RecordingTest, WhatIsNotARecordingIsLeftAlone) {
  for (const std::string text : {"my notes", "my notes\n", "{}\n", "{\"type\":\"recording\"}\n",
                                 "{\"type\":\"recording\",\"version\":2}\n"}) {
    std::ofstream(file_) << text;
    for (const auto existing : {Recorder::Existing::refuse, Recorder::Existing::append}) {
      const auto opened = Recorder::open(file_, existing);
      ASSERT_FALSE(opened) << text;
      EXPECT_EQ(opened.error().code, base::Code::invalid);
      EXPECT_EQ(text_of(file_), text);
    }
  }
  std::ofstream(file_) << "";
  (void)ask(*recording({answer_of(Outcome::ok, "a")}), request_at("1", "x"));
  const std::string whole = text_of(file_);
  const auto again = Recorder::open(file_, Recorder::Existing::refuse);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, base::Code::conflict);
  EXPECT_EQ(text_of(file_), whole);
  EXPECT_EQ(Recording::load(folder_.file("nothing")).error().code, base::Code::not_found);
}

TEST_F(RecordingTest, AWrongLineIsNamed) {
  (void)ask(*recording({answer_of(Outcome::ok, "a")}), request_at("1", "x"));
  std::ofstream(file_, std::ios::app) << "{\"type\":\"call\",\"call\":2}\n";
  const auto read = Recording::load(file_);
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr(":4: "));
  EXPECT_THAT(read.error().message, HasSubstr("request is missing"));
}

TEST(RecorderTest, AFullDiskIsAnError) {
  const auto opened = Recorder::open("/dev/full", Recorder::Existing::refuse);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, base::Code::storage);
}

}  // namespace
}  // namespace tertulia::llm
