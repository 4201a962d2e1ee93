#include "llm/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "llm/token_estimate.h"

namespace tertulia::llm {
namespace {

using testing::HasSubstr;
using testing::Not;

Environment environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto found = values.find(name);
    if (found == values.end()) return {};
    return found->second;
  };
}

ModelProfile openai_profile(std::string name, std::string model) {
  ModelProfile profile;
  profile.name = std::move(name);
  profile.provider = "openai";
  profile.model = std::move(model);
  return profile;
}

struct Spec {
  std::string_view text;
  std::map<std::string, std::string> environment;
  std::string_view model, base_url, key_env;
};

// A key goes only to the URL that it was configured with.
TEST(ModelSpec, KeysAreBoundToTheirUrl) {
  const std::map<std::string, std::string> key{{"OPENAI_API_KEY", "k"}};
  const std::map<std::string, std::string> own{{"OPENAI_API_KEY", "k"},
                                               {"OPENAI_BASE_URL", "https://llm.example.org/v1/"}};
  for (const Spec& spec : {
           Spec{"openai/gpt-5-mini", {}, "gpt-5-mini", kOpenAiBaseUrl, "OPENAI_API_KEY"},
           {"openai/gpt-5-mini", key, "gpt-5-mini", kOpenAiBaseUrl, "OPENAI_API_KEY"},
           {"openai/m@https://api.openai.com/v1", key, "m", kOpenAiBaseUrl, "OPENAI_API_KEY"},
           {"openai/m@https://api.openai.com/v1/", key, "m", kOpenAiBaseUrl, "OPENAI_API_KEY"},
           {"openai/any@http://127.0.0.1:8080/v1", key, "any", "http://127.0.0.1:8080/v1", ""},
           {"openai/any@https://api.openai.com.evil.org/v1", key, "any",
            "https://api.openai.com.evil.org/v1", ""},
           {"openai/any@http://api.openai.com/v1", key, "any", "http://api.openai.com/v1", ""},
           {"openai/m", own, "m", "https://llm.example.org/v1", "OPENAI_API_KEY"},
           {"openai/m@https://llm.example.org/v1", own, "m", "https://llm.example.org/v1",
            "OPENAI_API_KEY"},
           {"openai/m@https://api.openai.com/v1", own, "m", kOpenAiBaseUrl, ""},
           {"openai/meta/Llama-3@q4@http://[::1]:1/v1", key, "meta/Llama-3@q4", "http://[::1]:1/v1",
            ""},
       }) {
    const auto profile = parse_model_spec(spec.text, environment(spec.environment));
    ASSERT_TRUE(profile) << spec.text << ": " << profile.error().message;
    EXPECT_EQ(profile->provider, "openai");
    EXPECT_EQ(profile->model, spec.model) << spec.text;
    EXPECT_EQ(profile->base_url, spec.base_url) << spec.text;
    EXPECT_EQ(profile->key.env, spec.key_env) << spec.text;
    EXPECT_EQ(profile->key.file, "");
  }
}

TEST(ModelSpec, AnthropicsKeyIsBoundToItsUrlToo) {
  const std::map<std::string, std::string> own{{"ANTHROPIC_BASE_URL", "https://llm.example.org/"}};
  for (const Spec& spec : {
           Spec{"anthropic/claude-x", {}, "claude-x", kAnthropicBaseUrl, "ANTHROPIC_API_KEY"},
           {"anthropic/claude-x@https://api.anthropic.com/v1/",
            {},
            "claude-x",
            "https://api.anthropic.com/v1",
            "ANTHROPIC_API_KEY"},
           {"anthropic/claude-x@https://api.anthropic.com.evil.org/v1",
            {},
            "claude-x",
            "https://api.anthropic.com.evil.org/v1",
            ""},
           {"anthropic/m@http://127.0.0.1:8080", {}, "m", "http://127.0.0.1:8080", ""},
           {"anthropic/m", own, "m", "https://llm.example.org", "ANTHROPIC_API_KEY"},
           {"anthropic/m@https://api.anthropic.com", own, "m", kAnthropicBaseUrl, ""},
       }) {
    const auto profile = parse_model_spec(spec.text, environment(spec.environment));
    ASSERT_TRUE(profile) << spec.text << ": " << profile.error().message;
    EXPECT_EQ(profile->provider, "anthropic");
    EXPECT_EQ(profile->model, spec.model) << spec.text;
    EXPECT_EQ(profile->base_url, spec.base_url) << spec.text;
    EXPECT_EQ(profile->key.env, spec.key_env) << spec.text;
  }
}

TEST(ModelSpec, OllamaHostAsOllamaReadsIt) {
  struct Case {
    const char* host;
    std::string_view base_url;
  };
  for (const Case& c : {
           Case{"", kOllamaBaseUrl},
           {"gpu.lan", "http://gpu.lan:11434"},
           {"gpu.lan:8080", "http://gpu.lan:8080"},
           {":8080", "http://127.0.0.1:8080"},
           {"0.0.0.0", "http://127.0.0.1:11434"},
           {"[::]:8080", "http://127.0.0.1:8080"},
           {"[::1]", "http://[::1]:11434"},
           {"https://gpu.lan/", "https://gpu.lan"},
           {"http://gpu.lan:1/", "http://gpu.lan:1"},
       }) {
    std::map<std::string, std::string> set;
    if (*c.host != '\0') set["OLLAMA_HOST"] = c.host;
    const auto profile = parse_model_spec("ollama/llama3.2:1b", environment(set));
    ASSERT_TRUE(profile) << c.host << ": " << profile.error().message;
    EXPECT_EQ(profile->base_url, c.base_url);
    EXPECT_EQ(profile->model, "llama3.2:1b");
    EXPECT_EQ(profile->key.env, "");
  }
}

TEST(ModelSpec, OrganizationAndProjectGoWithTheKey) {
  const auto all = environment({{"OPENAI_ORG_ID", "org"}, {"OPENAI_PROJECT_ID", "proj"}});
  EXPECT_EQ(parse_model_spec("openai/m", all)->organization, "org");
  EXPECT_EQ(parse_model_spec("openai/m", all)->project, "proj");
  EXPECT_EQ(parse_model_spec("openai/m@http://127.0.0.1:1/v1", all)->organization, "");
}

TEST(ModelSpec, Rehearsal) {
  EXPECT_EQ(parse_model_spec("rehearsal")->provider, "rehearsal");
  const auto slow = parse_model_spec("rehearsal?latency=200ms&fail=0.05");
  ASSERT_TRUE(slow);
  EXPECT_EQ(slow->rehearsal.latency, std::chrono::milliseconds(200));
  EXPECT_EQ(slow->rehearsal.fail, 0.05);
}

struct Wrong {
  std::string_view text, says;
};

TEST(ModelSpec, WhatIsWrongIsSaidWithWhatIsAccepted) {
  for (const Wrong& wrong : {
           Wrong{"", "accepted are"},
           {"openai", "which model?"},
           {"openai/", "which model?"},
           {"openai/@http://h/v1", "which model?"},
           {"opnai/m", "did you mean openai?"},
           {"main", "accepted are"},
           {"ollama", "which model?"},
           {"olama/llama3", "did you mean ollama?"},
           {"anthropic/@https://h", "anthropic: which model?"},
           {"anthropic/m@http://169.254.169.254", "never called"},
           {"rehearsal?latncy=1s", "did you mean latency?"},
           {"openai/m@http:///v1", "host is missing"},
           {"openai/m@https://user:hunter2@h/v1", "user name or password"},
           {"openai/m@https://h/v1#hunter2", "fragment"},
           {"openai/m@http://169.254.169.254/v1", "never called"},
           {"openai/m@http://[fe80::1]/v1", "never called"},
           {"openai/m@http://[fd00:ec2::254]/v1", "never called"},
           {"openai/m@http://[::ffff:169.254.169.254]/v1", "never called"},
           {"openai/m@http+unix://h/v1", "only http and https"},
           {"openai/m@http://h h/v1", "not a URL"},
       }) {
    const auto profile = parse_model_spec(wrong.text, environment({}));
    ASSERT_FALSE(profile) << wrong.text;
    EXPECT_EQ(profile.error().code, base::Code::invalid);
    const std::string all = profile.error().message + " / " + profile.error().remedy;
    EXPECT_THAT(all, HasSubstr(std::string(wrong.says))) << wrong.text;
    EXPECT_THAT(all, Not(HasSubstr("hunter2")));
  }
}

TEST(MakeProvider, ByTheProfilesProtocol) {
  Transport transport;
  const auto rehearsal = make_provider(*parse_model_spec("rehearsal"), transport);
  ASSERT_TRUE(rehearsal);
  EXPECT_EQ((*rehearsal)->protocol(), "rehearsal");
  const auto openai = make_provider(
      *parse_model_spec("openai/m@http://127.0.0.1:1/v1", environment({})), transport);
  ASSERT_TRUE(openai);
  EXPECT_EQ((*openai)->protocol(), "openai");
  for (const char* const spec : {"anthropic/m@http://127.0.0.1:1", "ollama/m@http://127.0.0.1:1"}) {
    const auto profile = parse_model_spec(spec, environment({}));
    ASSERT_TRUE(profile);
    const auto made = make_provider(*profile, transport, {}, environment({}));
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ((*made)->protocol(), profile->provider);
  }
  const auto misled = make_provider(
      *parse_model_spec("ollama/m@http://127.0.0.1:1/v1", environment({})), transport);
  ASSERT_FALSE(misled);
  EXPECT_THAT(misled.error().remedy, HasSubstr("provider openai"));
  ModelProfile unknown;
  unknown.provider = "oracle";
  EXPECT_FALSE(make_provider(unknown, transport));
}

struct Estimate {
  std::string_view text;
  std::int64_t tokens;
};

// The counts are frozen: a session that is gone on with must drop the same messages.
// Whatever made the profile (a config file, an imported session), the rule holds where it is used.
TEST(MakeProvider, NeverSendsOpenAisKeyElsewhere) {
  Transport transport;
  ModelProfile profile = openai_profile("main", "m");
  profile.key.env = "OPENAI_API_KEY";
  const auto made = [&](std::string base_url, std::map<std::string, std::string> values) {
    profile.base_url = std::move(base_url);
    return make_provider(profile, transport, {}, environment(std::move(values)));
  };
  const std::string gateway = "https://llm.example.org/v1";
  EXPECT_TRUE(made("https://api.openai.com/v1", {}));
  EXPECT_TRUE(made(gateway + "/", {{"OPENAI_BASE_URL", gateway}}));
  for (const char* const url : {"https://llm.example.org/v1", "https://api.openai.com.evil.org/v1",
                                "http://api.openai.com/v1", "http://127.0.0.1:8080/v1"}) {
    const auto refused = made(url, {});
    ASSERT_FALSE(refused) << url;
    EXPECT_EQ(refused.error().code, base::Code::denied);
    EXPECT_THAT(refused.error().message, HasSubstr("OPENAI_API_KEY"));
  }
  profile.key.env = "MY_GATEWAY_KEY";
  EXPECT_TRUE(made(gateway, {}));
}

// Whichever protocol a profile speaks: the key is what counts.
TEST(MakeProvider, NeverSendsAnthropicsKeyElsewhere) {
  Transport transport;
  for (const char* const provider : {"anthropic", "openai", "ollama"}) {
    ModelProfile profile;
    profile.name = "main";
    profile.provider = provider;
    profile.model = "m";
    profile.key.env = "ANTHROPIC_API_KEY";
    for (const char* const url : {"https://llm.example.org", "https://api.anthropic.com.evil.org",
                                  "http://api.anthropic.com", "http://127.0.0.1:8080"}) {
      profile.base_url = url;
      const auto refused = make_provider(profile, transport, {}, environment({}));
      ASSERT_FALSE(refused) << provider << " " << url;
      EXPECT_EQ(refused.error().code, base::Code::denied);
      EXPECT_THAT(refused.error().message, HasSubstr("ANTHROPIC_API_KEY"));
    }
    profile.base_url = "https://llm.example.org";
    EXPECT_TRUE(make_provider(profile, transport, {},
                              environment({{"ANTHROPIC_BASE_URL", "https://llm.example.org"}})));
  }
}

TEST(ModelProfileJson, RoundTrip) {
  ModelProfile full = openai_profile("main", "gpt-5-mini");
  full.base_url = "https://api.openai.com/v1";
  full.key.env = "OPENAI_API_KEY";
  full.organization = "org";
  full.project = "proj";
  full.parameters.temperature = 0.7;
  full.parameters.stop = {"END"};
  full.context_window = 128'000;
  full.price = Price{.input = 0.25, .output = 2};
  full.limits = {.requests_per_minute = 500, .tokens_per_minute = 200'000, .concurrent = 50};
  full.breaker = {.failures = 3, .pause = std::chrono::seconds(5)};
  full.json_schema = true;
  ModelProfile file = openai_profile("f", "m");
  file.key.file = "/etc/key";
  const auto rehearsal = parse_model_spec("rehearsal?latency=1.5s&fail=0.05&kind=rate_limited");
  ASSERT_TRUE(rehearsal);
  for (const ModelProfile& profile : {full, file, *rehearsal, *parse_model_spec("rehearsal")}) {
    const base::json::value written = profile.to_json();
    const auto read = ModelProfile::from_json(written);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(base::to_text(read->to_json()), base::to_text(written));
    EXPECT_EQ(read->rehearsal.latency, profile.rehearsal.latency);
    EXPECT_EQ(read->rehearsal.kind, profile.rehearsal.kind);
    EXPECT_EQ(read->key.env, profile.key.env);
    EXPECT_EQ(read->key.file, profile.key.file);
    EXPECT_EQ(read->context_window, profile.context_window);
  }
  EXPECT_EQ(base::to_text(parse_model_spec("rehearsal")->to_json()),
            R"({"name":"rehearsal","provider":"rehearsal","model":"rehearsal"})");
}

TEST(ModelProfileJson, NamesTheMemberThatIsWrong) {
  struct Case {
    std::string_view text, message;
  };
  for (const Case& c : {
           Case{R"([])", "expected an object"},
           {R"({"name":"main"})", "model profile main: provider is missing"},
           {R"({"provider":"openai","modle":"m"})", "did you mean model"},
           {R"({"provider":7})", "provider: expected a text"},
           {R"({"provider":"openai","key":"sk-secret"})", "a key is never written here"},
           {R"({"provider":"openai","key":{"env":"A","file":"B"}})", "either env or file"},
           {R"({"provider":"openai","key":{"envv":"A"}})", "did you mean env"},
           {R"({"provider":"openai","parameters":{"temprature":1}})", "temprature"},
           {R"({"provider":"openai","context_window":-5})", "context_window"},
           {R"({"provider":"openai","context_window":1.5})", "context_window"},
           {R"({"provider":"openai","price":{"input":"1"}})", "price: input"},
           {R"({"provider":"openai","limits":{"concurrent":true}})", "limits: concurrent"},
           {R"({"provider":"openai","breaker":{"pause":1}})", "breaker: unknown member pause"},
           {R"({"provider":"openai","json_schema":1})", "json_schema: expected true or false"},
           {R"({"provider":"rehearsal","rehearsal":{"fail":2}})", "fail=2"},
           {R"({"provider":"rehearsal","rehearsal":{"kind":"ok"}})", "kind=ok"},
       }) {
    const auto read = ModelProfile::from_json(*base::parse_json(c.text));
    ASSERT_FALSE(read) << c.text;
    EXPECT_THAT(read.error().message, HasSubstr(std::string(c.message)));
    EXPECT_THAT(read.error().message, Not(HasSubstr("sk-secret")));
  }
}

TEST(TokenEstimate, ByTheWrittenRule) {
  for (const Estimate& one : {
           Estimate{"", 0},
           {"word", 1},
           {"two words", 2},
           {"incomprehensibilities", 4},
           {"1234567", 3},
           {"a, b.", 4},
           {"for (int i = 0; i < n; ++i) {", 16},
           {"line\n\nline", 3},
           {"    indented", 3},
           {"你好，世界", 5},
           {"データ", 3},
           {"한국어", 3},
           {"Привет", 3},
           {"🙂", 2},
           {"\xff", 1},
       })
    EXPECT_EQ(estimate_text_tokens(one.text), one.tokens) << one.text;
}

}  // namespace
}  // namespace tertulia::llm
