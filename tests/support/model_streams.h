// The streams of the protocols besides OpenAI's, as their servers send them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tertulia::test {

// Anthropic's messages: message_start, a ping, one text block with a delta for each word,
// message_delta with the stop_reason, message_stop. 11 tokens in (of them 4 from the cache, 2
// written to it), 7 out.
[[nodiscard]] std::string anthropic_completion(const std::vector<std::string>& words,
                                               std::string_view stop_reason = "end_turn");
// One event with a word.
[[nodiscard]] std::string anthropic_word(std::string_view word);
// The event that reports an error in mid-stream.
[[nodiscard]] std::string anthropic_error(std::string_view type, std::string_view message);

// Ollama's /api/chat: a line for each word and the last with done, done_reason and counts (11 in,
// 7 out).
[[nodiscard]] std::string ollama_completion(const std::vector<std::string>& words,
                                            std::string_view done_reason = "stop");
[[nodiscard]] std::string ollama_word(std::string_view word);

}  // namespace tertulia::test
