// Members of JSON that somebody else wrote: a model server, another program, another version of
// this one. Each is read as what it should be; where it is absent or of another type there is
// nothing. What is returned points into the object, which outlives it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace tertulia::base {

// Empty where it is no text.
[[nodiscard]] std::string_view text_at(const json::object& object, std::string_view name);
// 0 where it is no whole number.
[[nodiscard]] std::int64_t integer_at(const json::object& object, std::string_view name);
[[nodiscard]] std::optional<double> number_at(const json::object& object, std::string_view name);
// False where it is neither true nor false.
[[nodiscard]] bool flag_at(const json::object& object, std::string_view name);
// Null where it is none.
[[nodiscard]] const json::object* object_at(const json::object& object, std::string_view name);
[[nodiscard]] const json::array* array_at(const json::object& object, std::string_view name);
// The objects of a list, without what else is in it.
[[nodiscard]] std::vector<const json::object*> objects_at(const json::object& object,
                                                          std::string_view name);

}  // namespace tertulia::base
