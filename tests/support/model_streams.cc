#include "support/model_streams.h"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>

namespace tertulia::test {
namespace {

std::string quoted(std::string_view text) {
  return boost::json::serialize(boost::json::string_view(text.data(), text.size()));
}

std::string event(std::string_view type, std::string_view members) {
  return fmt::format("event: {0}\ndata: {{\"type\":\"{0}\"{1}}}\n\n", type, members);
}

std::string ollama_line(std::string_view word, std::string_view rest) {
  return fmt::format(R"({{"model":"scripted-1","created_at":"2026-01-01T00:00:00Z",)"
                     R"("message":{{"role":"assistant","content":{}}},{}}})"
                     "\n",
                     quoted(word), rest);
}

}  // namespace

std::string anthropic_word(std::string_view word) {
  return event(
      "content_block_delta",
      fmt::format(R"(,"index":0,"delta":{{"type":"text_delta","text":{}}})", quoted(word)));
}

std::string anthropic_completion(const std::vector<std::string>& words,
                                 std::string_view stop_reason) {
  std::string out =
      event("message_start",
            R"(,"message":{"id":"msg_1","type":"message","role":"assistant","model":"scripted-1",)"
            R"("content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,)"
            R"("cache_creation_input_tokens":2,"cache_read_input_tokens":4,"output_tokens":1}})");
  out += event("content_block_start", R"(,"index":0,"content_block":{"type":"text","text":""})");
  out += event("ping", "");
  for (const std::string& word : words) out += anthropic_word(word);
  out += event("content_block_stop", R"(,"index":0)");
  out += event("message_delta", fmt::format(R"(,"delta":{{"stop_reason":{},"stop_sequence":null}},)"
                                            R"("usage":{{"output_tokens":7}})",
                                            quoted(stop_reason)));
  return out + event("message_stop", "");
}

std::string anthropic_error(std::string_view type, std::string_view message) {
  return event("error", fmt::format(R"(,"error":{{"type":{},"message":{}}})", quoted(type),
                                    quoted(message)));
}

std::string ollama_word(std::string_view word) {
  return ollama_line(word, R"("done":false)");
}

std::string ollama_completion(const std::vector<std::string>& words, std::string_view done_reason) {
  std::string out;
  for (const std::string& word : words) out += ollama_word(word);
  return out +
         ollama_line("", fmt::format(R"("done":true,"done_reason":{},"total_duration":4935886791,)"
                                     R"("load_duration":534986708,"prompt_eval_count":11,)"
                                     R"("prompt_eval_duration":107345000,"eval_count":7,)"
                                     R"("eval_duration":4289432000)",
                                     quoted(done_reason)));
}

}  // namespace tertulia::test
