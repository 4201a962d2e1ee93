#include "llm/plain_json.h"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <iterator>

namespace tertulia::llm {
namespace {

namespace json = base::json;

void append(std::string& out, const json::value& value) {
  if (const json::array* const array = value.if_array()) {
    out += '[';
    for (const json::value& item : *array) {
      if (&item != array->begin()) out += ',';
      append(out, item);
    }
    out += ']';
  } else if (const json::object* const object = value.if_object()) {
    out += '{';
    for (const auto& member : *object) {
      if (&member != object->begin()) out += ',';
      out += json::serialize(member.key());
      out += ':';
      append(out, member.value());
    }
    out += '}';
  } else if (const double* const number = value.if_double()) {
    fmt::format_to(std::back_inserter(out), "{}", *number);
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

std::string plain_json(const json::value& value) {
  std::string out;
  append(out, value);
  return out;
}

}  // namespace tertulia::llm
