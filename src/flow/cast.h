// Cast is who plays in a session: each role reference with the name, the prompt and the model it
// got when the session was made. Frozen: it is the session's roles_snapshot.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace tertulia::flow {

namespace json = boost::json;

struct CastRole {
  std::string ref;
  std::string name;
  std::string prompt;
  std::string profile;              // the model profile's name
  json::object model;               // the profile in force, without secrets: see llm/profile.h
  std::int64_t context_window = 0;  // tokens: the budget of a context without max_tokens
};

struct Cast {
  std::vector<CastRole> roles;

  [[nodiscard]] const CastRole* find(std::string_view ref) const;
  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] static base::Result<Cast> from_text(std::string_view text);
};

}  // namespace tertulia::flow
