// The name that was likely meant: for errors about unknown names.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tertulia::base {

// The candidate nearest to `name` by optimal string alignment distance (insert, delete, replace,
// swap neighbours), if it is near enough to be meant (at most a third of the name, at least one
// edit allowed); empty if none is. Names over 100 bytes are never near.
[[nodiscard]] std::string near_name(std::string_view name, std::span<const std::string> candidates);

}  // namespace tertulia::base
