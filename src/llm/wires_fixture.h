// Every protocol as a scripted server speaks it, so that one table of faults holds for all.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "llm/anthropic.h"
#include "llm/anthropic_wire.h"
#include "llm/ollama.h"
#include "llm/ollama_wire.h"
#include "llm/openai.h"
#include "llm/openai_wire.h"
#include "llm/provider_fixture.h"
#include "support/model_streams.h"

namespace tertulia::llm {

struct Wire {
  std::string_view name;
  Framing framing;
  std::string_view content_type;
  std::string_view target;      // of the request
  std::string_view key_header;  // and what stands before the key in it
  std::string_view key_prefix;
  base::Result<std::unique_ptr<Provider>> (*make)(Endpoint, Transport&);
  std::unique_ptr<WireDialect> (*dialect)();
  std::string (*completion)(const std::vector<std::string>& words);
  std::string (*cut_short)(const std::vector<std::string>& words);  // by the limit on length
  std::string (*word)(std::string_view);
  std::string (*failure)(std::string_view message);  // in the stream: the server is overloaded
  std::string_view stop_mark;   // where the object that says why it stopped is to be found
  std::string_view object_end;  // what ends such an object
  std::string (*ballast)(std::size_t bytes);   // one line that says nothing
  std::string (*overlong)(std::size_t bytes);  // one object without an end
};

inline std::string sse_ballast(std::size_t bytes) {
  return ": " + std::string(bytes, 'x') + "\n";
}
inline std::string sse_overlong(std::size_t bytes) {
  return "data: " + std::string(bytes, 'x') + "\n\n";
}

inline std::vector<Wire> all_wires() {
  using Words = std::vector<std::string>;
  return {
      {.name = "openai",
       .framing = Framing::events,
       .content_type = "text/event-stream",
       .target = "/v1/chat/completions",
       .key_header = "authorization",
       .key_prefix = "Bearer ",
       .make = [](Endpoint endpoint,
                  Transport& transport) { return make_openai(std::move(endpoint), {}, transport); },
       .dialect = [] { return openai_dialect(); },
       .completion =
           [](const Words& words) {
             return sse_completion(words, "stop",
                                   test::CompletionUsage{.prompt_tokens = 11,
                                                         .completion_tokens = 7,
                                                         .cached_tokens = 4,
                                                         .reasoning_tokens = 0});
           },
       .cut_short = [](const Words& words) { return sse_completion(words, "length"); },
       .word = [](std::string_view word) { return sse_word(word); },
       .failure =
           [](std::string_view message) {
             return test::sse_event(R"({"error":{"message":")" + std::string(message) + R"("}})");
           },
       .stop_mark = R"("finish_reason":"stop")",
       .object_end = "\n\n",
       .ballast = sse_ballast,
       .overlong = sse_overlong},
      {.name = "anthropic",
       .framing = Framing::events,
       .content_type = "text/event-stream",
       .target = "/v1/messages",
       .key_header = "x-api-key",
       .key_prefix = "",
       .make = [](Endpoint endpoint,
                  Transport& transport) { return make_anthropic(std::move(endpoint), transport); },
       .dialect = [] { return anthropic_dialect(); },
       .completion = [](const Words& words) { return test::anthropic_completion(words); },
       .cut_short =
           [](const Words& words) { return test::anthropic_completion(words, "max_tokens"); },
       .word = [](std::string_view word) { return test::anthropic_word(word); },
       .failure =
           [](std::string_view message) {
             return test::anthropic_error("overloaded_error", message);
           },
       .stop_mark = R"("stop_reason":"end_turn")",
       .object_end = "\n\n",
       .ballast = sse_ballast,
       .overlong = sse_overlong},
      {.name = "ollama",
       .framing = Framing::lines,
       .content_type = "application/x-ndjson",
       .target = "/api/chat",
       .key_header = "authorization",
       .key_prefix = "Bearer ",
       .make =
           [](Endpoint endpoint, Transport& transport) {
             return make_ollama(std::move(endpoint), 4096, transport);
           },
       .dialect = [] { return ollama_dialect("any"); },
       .completion = [](const Words& words) { return test::ollama_completion(words); },
       .cut_short = [](const Words& words) { return test::ollama_completion(words, "length"); },
       .word = [](std::string_view word) { return test::ollama_word(word); },
       .failure =
           [](std::string_view message) {
             return R"({"error":")" + std::string(message) + "\"}\n";
           },
       .stop_mark = R"("done":true)",
       .object_end = "\n",
       .ballast =
           [](std::size_t bytes) {
             return R"({"model":"scripted-1","done":false,"pad":")" + std::string(bytes, 'x') +
                    "\"}\n";
           },
       .overlong = [](std::size_t bytes) { return std::string(bytes, 'x') + "\n"; }},
  };
}

class EveryWire : public ProviderTest, public ::testing::WithParamInterface<Wire> {
 protected:
  std::unique_ptr<Provider> provider(const ModelServer& server, bool with_key = true) {
    auto made = GetParam().make(endpoint(server.address() + prefix(), with_key), transport_);
    EXPECT_TRUE(made) << made.error().message;
    return std::move(made).value();
  }

  Answer ask_server(ModelServer::Handler handler, const Deadlines& deadlines = {}) {
    ModelServer server(std::move(handler));
    return ask(*provider(server), deadlines);
  }

 private:
  // OpenAI's base URLs end in /v1; the others put it after them, or have none.
  static std::string prefix() { return GetParam().name == "openai" ? "/v1" : ""; }
};

inline std::string wire_name(const ::testing::TestParamInfo<Wire>& info) {
  return std::string(info.param.name);
}

}  // namespace tertulia::llm
