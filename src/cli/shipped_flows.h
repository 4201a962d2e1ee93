// The flows that ship with the program, compiled into it from flows/.
#pragma once

#include <span>
#include <string_view>

namespace tertulia::cli {

struct ShippedFlow {
  std::string_view name;  // its file's name, which is the flow's
  std::string_view source;
};
// By name.
[[nodiscard]] std::span<const ShippedFlow> shipped_flows();

}  // namespace tertulia::cli
