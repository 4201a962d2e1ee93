// Reads the body of a chat completion request: which flow, and what its person says. What a session
// of roles cannot do is refused rather than left out; what only tunes a model is taken and not
// looked at, for the roles' profiles have that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/http.h"

namespace tertulia::server {

struct ChatRequest {
  std::string name;   // the model's: "flow:debate"
  std::string flow;   // "debate"
  std::string words;  // of the last user message
  bool is_stream = false;
  bool wants_usage = false;  // stream_options: {include_usage}
  std::optional<std::int64_t> seed = {};
};

// The refusal (400; 404 for a model that is no flow), or nothing: then `request` is filled.
[[nodiscard]] std::optional<Response> read_chat_request(std::string_view body,
                                                        ChatRequest& request);

// "flow:debate" -> "debate"; nothing where the name is none of a flow.
[[nodiscard]] std::optional<std::string> flow_of_model(std::string_view name);
[[nodiscard]] Response no_such_model(std::string_view name);

}  // namespace tertulia::server
