#include "llm/rehearsal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <mutex>
#include <set>

#include "base/utf8.h"
#include "llm/rehearsal_words.h"

namespace tertulia::llm {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

Request request_of(std::uint64_t seed, std::string path, int attempt = 1) {
  Request request;
  request.system = "You are Critic.";
  request.turns = {{Turn::Kind::user, "Author: We should keep it small.\n\nCriticise it."}};
  request.hints.seed = seed;
  request.hints.path = std::move(path);
  request.hints.attempt = attempt;
  request.hints.step = "critic";
  request.hints.iteration = 1;
  request.hints.speaker = "Critic";
  request.hints.topic = "Should we store sessions in SQLite?";
  request.hints.task = "Criticise it.";
  request.hints.language = "en";
  request.hints.shown_speakers = {"Author"};
  request.hints.last_shown = "We should keep it small.";
  return request;
}

// A provider with the answer of one call to it.
class RehearsalTest : public testing::Test {
 protected:
  std::unique_ptr<Provider> make(std::string_view query, std::string_view script = "") {
    auto options = parse_rehearsal_options(query);
    auto lines = RehearsalScript::parse(script, "script.yaml");
    EXPECT_TRUE(options.ok() && lines.ok());
    return make_rehearsal(*options, *lines, transport_);
  }

  // Of a rehearsal without latency: the answer is there when start returns.
  static Answer ask(Provider& provider, const Request& request) {
    std::optional<Answer> answer;
    std::string heard;
    const auto call = provider.start(request, provider.wire_body(request), {},
                                     {.on_text = [&](std::string_view text) { heard += text; },
                                      .on_done = [&](Answer done) { answer = std::move(done); }});
    EXPECT_TRUE(answer.has_value()) << "without latency, start reports before it returns";
    EXPECT_EQ(heard, answer->text);
    return answer.value_or(Answer{});
  }

  Transport transport_;
};

TEST_F(RehearsalTest, SaysTheSameForTheSameSeedAndPathWhateverTheAttempt) {
  const auto provider = make("");
  const std::string first = ask(*provider, request_of(7, "3.1")).text;
  EXPECT_EQ(ask(*provider, request_of(7, "3.1")).text, first);
  EXPECT_EQ(ask(*provider, request_of(7, "3.1", 2)).text, first);
  EXPECT_EQ(ask(*make(""), request_of(7, "3.1")).text, first)
      << "another provider, another process";
}

TEST_F(RehearsalTest, VariesWithSeedAndPath) {
  const auto provider = make("");
  std::set<std::string> texts;
  for (int i = 0; i < 50; ++i) {
    texts.insert(ask(*provider, request_of(7, std::to_string(i))).text);
    texts.insert(ask(*provider, request_of(static_cast<std::uint64_t>(i) + 100, "0")).text);
  }
  EXPECT_GT(texts.size(), 95U);
}

// Whatever the draw, a reader must be able to see what the role was given.
TEST_F(RehearsalTest, AlwaysTellsWhatItWasShown) {
  const auto provider = make("");
  for (int i = 0; i < 200; ++i) {
    Request request = request_of(1, std::to_string(i));
    EXPECT_THAT(ask(*provider, request).text, HasSubstr("Criticise it"));
    EXPECT_THAT(ask(*provider, request).text, HasSubstr("Should we store sessions in SQLite?"));
    EXPECT_THAT(ask(*provider, request).text, HasSubstr("Critic"));
    EXPECT_THAT(ask(*provider, request).text, HasSubstr("Author"));
    EXPECT_THAT(ask(*provider, request).text, HasSubstr("We should keep it small"));
    EXPECT_THAT(ask(*provider, request).text, testing::ContainsRegex("[Rr]ehears"));

    request.hints.shown_speakers = {"Author", "Sceptic", "Author"};
    request.hints.documents = {"proposal, version 2"};
    EXPECT_THAT(ask(*provider, request).text, HasSubstr("3 messages"));
    EXPECT_THAT(ask(*provider, request).text, HasSubstr("proposal, version 2"));

    request.hints.shown_speakers.clear();
    EXPECT_THAT(ask(*provider, request).text, Not(HasSubstr("keep it small")));
  }
}

TEST_F(RehearsalTest, SpeaksChinese) {
  const auto provider = make("");
  for (int i = 0; i < 200; ++i) {
    Request request = request_of(1, std::to_string(i));
    request.hints.language = "zh";
    request.hints.speaker = "打工人（产品）";
    request.hints.topic = "会话存进 SQLite 好不好？";
    request.hints.task = "请提出批评。";
    request.hints.shown_speakers = {"作者", "主席"};
    request.hints.last_shown = "先小做，量一次，再决定。";
    const std::string text = ask(*provider, request).text;
    EXPECT_THAT(text, HasSubstr("打工人（产品）"));
    EXPECT_THAT(text, HasSubstr("请提出批评"));
    EXPECT_THAT(text, HasSubstr("会话存进 SQLite 好不好？"));
    EXPECT_THAT(text, HasSubstr("主席"));
    EXPECT_THAT(text, HasSubstr("2条"));
    EXPECT_THAT(text, HasSubstr("先小做"));
    EXPECT_THAT(text, HasSubstr("排练"));
    EXPECT_FALSE(base::first_invalid_utf8(text));
  }
}

TEST_F(RehearsalTest, ShortensLongTopicsAndQuotes) {
  const auto provider = make("");
  Request request = request_of(1, "1");
  std::string pages;
  for (int i = 0; i < 5000; ++i) pages += "长 text with\nhard breaks ";
  request.hints.topic = request.hints.task = request.hints.last_shown = pages;
  const std::string text = ask(*provider, request).text;
  EXPECT_LT(text.size(), 1500U);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_FALSE(base::first_invalid_utf8(text));
}

TEST_F(RehearsalTest, NothingInTheHintsIsExpanded) {
  Request request = request_of(1, "1");
  request.hints.last_shown = "{me} {topic} {{topic}}";
  EXPECT_THAT(ask(*make(""), request).text, HasSubstr("{me} {topic} {{topic}}"));
}

TEST_F(RehearsalTest, CountsTokensByTheFixedRule) {
  const auto provider = make("");
  const Answer answer = ask(*provider, request_of(1, "1"));
  EXPECT_EQ(answer.outcome, Outcome::ok);
  EXPECT_EQ(answer.finish_reason, "stop");
  EXPECT_EQ(answer.model, "rehearsal");
  EXPECT_TRUE(answer.usage.reported);
  EXPECT_EQ(answer.usage.prompt_tokens, (15 + 47 + 3) / 4);
  EXPECT_EQ(answer.usage.completion_tokens, provider->estimate_tokens(answer.text));
  EXPECT_EQ(provider->estimate_tokens(""), 0);
  EXPECT_EQ(provider->estimate_tokens("a"), 1);
  EXPECT_EQ(provider->estimate_tokens("abcd"), 1);
  EXPECT_EQ(provider->estimate_tokens("abcde"), 2);
}

TEST_F(RehearsalTest, BodyIsTheNeutralRequestWithoutHints) {
  Request request = request_of(1, "secret-path");
  request.model = "rehearsal";
  request.turns = {{Turn::Kind::user, "A \"word\"\n"}, {Turn::Kind::assistant, "好"}};
  request.schema = base::json::object{{"type", "object"}};
  request.parameters.max_tokens = 20;
  EXPECT_EQ(make("")->wire_body(request),
            R"({"model":"rehearsal","system":"You are Critic.","messages":[)"
            R"({"role":"user","content":"A \"word\"\n"},{"role":"assistant","content":"好"}],)"
            R"("schema":{"type":"object"},"parameters":{"max_tokens":20}})");
}

TEST_F(RehearsalTest, ScriptDecidesTheWords) {
  const auto provider =
      make("", "critic@3: ACCEPT\ncritic: Not yet.\nverdict: {decision: accept}\n");
  Request request = request_of(1, "1");
  EXPECT_EQ(ask(*provider, request).text, "Not yet.");
  request.hints.iteration = 3;
  EXPECT_EQ(ask(*provider, request).text, "ACCEPT");
  request.hints.step = "verdict";
  EXPECT_EQ(ask(*provider, request).text, R"({"decision":"accept"})");
  request.hints.step = "author";
  EXPECT_THAT(ask(*provider, request).text, HasSubstr("Should we store"));
}

TEST_F(RehearsalTest, FillsStructuredOutputs) {
  const auto provider = make("");
  Request request = request_of(1, "1");
  request.schema =
      base::parse_json(R"({"type":"object","required":["approved","score"],"properties":{)"
                       R"("approved":{"type":"boolean"},"score":{"type":"integer","minimum":1,)"
                       R"("maximum":10}}})")
          ->as_object();
  std::set<std::string> answers;
  for (int i = 0; i < 100; ++i) {
    request.hints.path = std::to_string(i);
    const auto value = base::parse_json(ask(*provider, request).text);
    ASSERT_TRUE(value) << "the JSON alone, no words around it";
    answers.insert(base::to_text(*value));
  }
  EXPECT_GT(answers.size(), 12U) << "of the 20 there are";
}

TEST_F(RehearsalTest, SchemaThatCannotBeFilledIsRefused) {
  Request request = request_of(1, "1");
  request.schema = base::json::object{{"type", "string"}, {"pattern", "(?=x)"}};
  const Answer answer = ask(*make(""), request);
  EXPECT_EQ(answer.outcome, Outcome::refused);
  EXPECT_EQ(answer.text, "");
  EXPECT_THAT(answer.error, HasSubstr("(?=x)"));
}

TEST_F(RehearsalTest, FaultsAreDrawnPerAttempt) {
  const auto provider = make("fail=0.25&kind=rate_limited");
  int failed = 0, recovered = 0;
  for (int i = 0; i < 2000; ++i) {
    const Answer first = ask(*provider, request_of(5, std::to_string(i), 1));
    EXPECT_EQ(ask(*provider, request_of(5, std::to_string(i), 1)).outcome, first.outcome);
    if (first.outcome == Outcome::ok) continue;
    ++failed;
    EXPECT_EQ(first.outcome, Outcome::rate_limited);
    EXPECT_EQ(first.text, "");
    EXPECT_EQ(first.http_status, 429);
    EXPECT_THAT(first.error, HasSubstr("rehearsal"));
    recovered += ask(*provider, request_of(5, std::to_string(i), 2)).outcome == Outcome::ok;
  }
  EXPECT_NEAR(failed, 500, 75);
  EXPECT_NEAR(recovered, failed * 3 / 4, 60);
}

TEST_F(RehearsalTest, BrokenOffAnswersKeepTheirBeginning) {
  const Answer whole = ask(*make(""), request_of(5, "1"));
  const Answer broken = ask(*make("fail=1&kind=incomplete"), request_of(5, "1"));
  EXPECT_EQ(broken.outcome, Outcome::incomplete);
  EXPECT_EQ(broken.finish_reason, "");
  EXPECT_FALSE(broken.text.empty());
  EXPECT_LT(broken.text.size(), whole.text.size());
  EXPECT_TRUE(whole.text.starts_with(broken.text));
}

// With latency.
struct Heard {
  std::vector<std::string> pieces;
  Answer answer;
};

Heard hear(Provider& provider, const Request& request, const Deadlines& deadlines = {}) {
  Heard heard;
  std::promise<Answer> done;
  const auto call =
      provider.start(request, {}, deadlines,
                     {.on_text = [&](std::string_view text) { heard.pieces.emplace_back(text); },
                      .on_done = [&](Answer answer) { done.set_value(std::move(answer)); }});
  heard.answer = done.get_future().get();
  return heard;
}

TEST_F(RehearsalTest, WordsStreamOverTheLatency) {
  const Answer whole = ask(*make(""), request_of(5, "1"));
  const auto provider = make("latency=20ms");
  const Heard heard = hear(*provider, request_of(5, "1"));
  EXPECT_EQ(heard.answer.outcome, Outcome::ok);
  EXPECT_EQ(heard.answer.text, whole.text);
  EXPECT_EQ(heard.answer.usage.completion_tokens, whole.usage.completion_tokens);
  EXPECT_GT(heard.pieces.size(), 10U);
  std::string joined;
  for (const std::string& piece : heard.pieces) joined += piece;
  EXPECT_EQ(joined, whole.text);
  EXPECT_GE(heard.answer.duration, milliseconds(20)) << "never before its time";
}

TEST_F(RehearsalTest, LatencyAboveTheDeadlineRunsOut) {
  Deadlines deadlines;
  deadlines.total = milliseconds(5);
  const Heard heard = hear(*make("latency=30m"), request_of(5, "1"), deadlines);
  EXPECT_EQ(heard.answer.outcome, Outcome::timeout);
}

TEST_F(RehearsalTest, CancelStopsInMidSentence) {
  const auto provider = make("latency=30m");
  std::promise<Answer> done;
  const auto call = provider->start(
      request_of(5, "1"), {}, {.total = milliseconds(3'600'000)},
      {.on_text = {}, .on_done = [&](Answer answer) { done.set_value(std::move(answer)); }});
  call->cancel();
  call->cancel();
  EXPECT_EQ(done.get_future().get().outcome, Outcome::cancelled);
}

TEST_F(RehearsalTest, ManySpeakAtOnce) {
  const auto provider = make("latency=50ms");
  constexpr int kCalls = 2000;
  std::mutex mutex;
  std::set<std::string> texts;
  int left = kCalls;
  std::promise<void> all;
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < kCalls; ++i)
    calls.push_back(provider->start(request_of(5, std::to_string(i)), {}, {},
                                    {.on_text = {}, .on_done = [&](Answer answer) {
                                       const std::scoped_lock lock(mutex);
                                       texts.insert(std::move(answer.text));
                                       if (--left == 0) all.set_value();
                                     }}));
  all.get_future().wait();
  EXPECT_GT(texts.size(), 1500U);
}

TEST(RehearsalPieces, AreTheTextCutAtWords) {
  EXPECT_THAT(stream_pieces("one two\nthree"), testing::ElementsAre("one ", "two\n", "three"));
  EXPECT_THAT(stream_pieces("先小做，量"), testing::ElementsAre("先小", "做，", "量"));
  EXPECT_THAT(stream_pieces(""), testing::IsEmpty());
}

struct WrongOption {
  std::string_view query, message, remedy;
};

TEST(RehearsalOptions, WhatIsWrongIsNamed) {
  for (const WrongOption& wrong : {
           WrongOption{"latncy=1s", "unknown option latncy", "did you mean latency?"},
           {"speed=1", "unknown option speed", "latency, fail and kind"},
           {"latency=fast", "latency=fast", "200ms"},
           {"latency=-1s", "latency=-1s", "200ms"},
           {"latency=9h", "latency=9h", "200ms"},
           {"latency=200", "latency=200", "200ms"},
           {"fail=5", "fail=5", "0 to 1"},
           {"fail=-0.1", "fail=-0.1", "0 to 1"},
           {"fail=nan", "fail=nan", "0 to 1"},
           {"fail", "fail=", "0 to 1"},
           {"kind=servr", "kind=servr", "kind=server"},
           {"kind=ok", "kind=ok", "rate_limited"},
           {"kind=cancelled", "kind=cancelled", "rate_limited"},
       }) {
    const auto options = parse_rehearsal_options(wrong.query);
    ASSERT_FALSE(options) << wrong.query;
    EXPECT_EQ(options.error().code, base::Code::invalid);
    EXPECT_THAT(options.error().message, HasSubstr(std::string(wrong.message)));
    EXPECT_THAT(options.error().remedy, HasSubstr(std::string(wrong.remedy)));
  }
}

TEST(RehearsalOptions, AreRead) {
  const auto options = parse_rehearsal_options("latency=1.5s&fail=0.05&kind=timeout");
  ASSERT_TRUE(options);
  EXPECT_EQ(options->latency, milliseconds(1500));
  EXPECT_EQ(options->fail, 0.05);
  EXPECT_EQ(options->kind, Outcome::timeout);
  EXPECT_EQ(parse_rehearsal_options("latency=2m")->latency, milliseconds(120'000));
  EXPECT_EQ(parse_rehearsal_options("latency=0")->latency, milliseconds(0));
  EXPECT_EQ(parse_rehearsal_options("")->kind, Outcome::server);
}

}  // namespace
}  // namespace tertulia::llm
