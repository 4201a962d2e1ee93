// JSON, by Boost.JSON, with the limits that input from outside needs.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tertulia::base {

namespace json = boost::json;

// Reads one JSON text. Invalid where it is not JSON, deeper than 64, or holds a number that is not
// finite (Boost.JSON reads 1e400 as infinity and would write it back as invalid JSON).
[[nodiscard]] Result<json::value> parse_json(std::string_view text);

// One line, keys in the order in which they were put.
[[nodiscard]] std::string to_text(const json::value& value);
// Indented by two blanks, for people.
[[nodiscard]] std::string to_pretty_text(const json::value& value);

// The value at an RFC 6901 pointer, or null where there is none.
[[nodiscard]] const json::value* at_pointer(const json::value& value, std::string_view pointer);

// Equal as JSON: numbers by value (1 equals 1.0), objects whatever their order.
[[nodiscard]] bool equal(const json::value& a, const json::value& b);

}  // namespace tertulia::base
