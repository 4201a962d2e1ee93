// The keys of the language, one list for each construct: what the parser accepts and what the JSON
// Schema for editors offers are the same lists.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tertulia::flow {

enum class Construct {
  flow,
  role,
  variable,
  limits,
  speak,
  ask,
  loop_step,
  loop,
  if_,
  set,
  end,
  discuss_step,
  discuss,
  parallel,
  each,
  call,
  with,
  role_limits,
  goto_,
  context,
  retry,
  assignment,
  condition,
  output_test,
  result
};

// What this release performs.
[[nodiscard]] std::span<const std::string> keys_of(Construct construct);
// What the language has and this release cannot perform yet.
[[nodiscard]] std::span<const std::string> later_keys_of(Construct construct);

}  // namespace tertulia::flow
