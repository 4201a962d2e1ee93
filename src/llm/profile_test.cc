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
           {"ollama/llama3", "http://127.0.0.1:11434/v1"},
           {"anthropic/claude", "no provider anthropic"},
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
  ModelProfile unknown;
  unknown.provider = "ollama";
  EXPECT_FALSE(make_provider(unknown, transport));
}

struct Estimate {
  std::string_view text;
  std::int64_t tokens;
};

// The counts are frozen: a session that is gone on with must drop the same messages.
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
