// The flows that ship with the program, compiled into it from flows/.
#pragma once

#include <span>
#include <string_view>

namespace tertulia::service {

struct ShippedFlow {
  std::string_view name;  // its file's name, which is the flow's
  std::string_view source;
};
// By name.
[[nodiscard]] std::span<const ShippedFlow> shipped_flows();
// Null where none has the name.
[[nodiscard]] const ShippedFlow* find_shipped_flow(std::string_view name);

// flow_templates.type of shipped flows.
inline constexpr std::string_view kShippedOrigin = "shipped";

}  // namespace tertulia::service
