// The line of the output that the result of an input is: one JSON text without its end. A function
// of the session as it stands, the input's id and the options, so that an output can be made again.
//
//   jsonl     {"id", "session", "topic", "result", "messages": [{"role", "name", "text"}]}
//   openai    {"messages": [{"role": "system" | "user" | "assistant", "content"}]}
//   sharegpt  {"conversations": [{"from": "system" | "human" | "gpt", "value"}]}
//
// In the last two, `as` is the role that is learnt from: its prompt is the system text, its words
// are the assistant's, and all others' are the user's, named where there is more than one of them.
// Where the assistant would be the first to speak, the topic stands before it as the user's words.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "engine/session_data.h"

namespace tertulia::engine {

enum class BatchFormat { jsonl, openai, sharegpt };
[[nodiscard]] std::optional<BatchFormat> batch_format_from(std::string_view name);

struct BatchView {
  BatchFormat format = BatchFormat::jsonl;
  std::string as;                  // a role reference; only jsonl may go without
  std::vector<std::string> roles;  // whose words are kept; empty: everybody's
};
// Invalid where a role is none of the flow's, or `as` is missing or not among `roles`.
[[nodiscard]] base::Result<void> check_view(const BatchView& view, const flow::Program& program);

[[nodiscard]] base::Result<std::string> result_line(db::Connection& reader, FlowCache& flows,
                                                    const BatchView& view,
                                                    const std::string& input_id, Id session);

}  // namespace tertulia::engine
