#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <vector>

namespace tertulia::base {
namespace {

constexpr int kMaxDepth = 64;

bool all_finite(const json::value& value) {
  switch (value.kind()) {
    case json::kind::double_:
      return std::isfinite(value.get_double());
    case json::kind::array:
      for (const auto& item : value.get_array())
        if (!all_finite(item)) return false;
      return true;
    case json::kind::object:
      for (const auto& member : value.get_object())
        if (!all_finite(member.value())) return false;
      return true;
    default:
      return true;
  }
}

bool has_double(const json::value& value) {
  if (value.is_double()) return true;
  if (const auto* array = value.if_array())
    return std::any_of(array->begin(), array->end(), has_double);
  if (const auto* object = value.if_object())
    return std::any_of(object->begin(), object->end(),
                       [](const auto& member) { return has_double(member.value()); });
  return false;
}

// As json::serialize, but for the numbers: Boost.JSON writes 0.7 as 7E-1.
void write(std::string& out, const json::value& value) {
  if (!has_double(value)) {
    out += json::serialize(value);
  } else if (const auto* array = value.if_array()) {
    out += '[';
    for (const auto& item : *array) {
      if (&item != array->begin()) out += ',';
      write(out, item);
    }
    out += ']';
  } else if (const auto* object = value.if_object()) {
    out += '{';
    for (const auto& member : *object) {
      if (&member != object->begin()) out += ',';
      out += json::serialize(member.key());
      out += ':';
      write(out, member.value());
    }
    out += '}';
  } else {
    fmt::format_to(std::back_inserter(out), "{}", value.get_double());
  }
}

void write_pretty(std::string& out, const json::value& value, int indent) {
  const auto line = [&](int depth) {
    out += '\n' + std::string(2 * static_cast<size_t>(depth), ' ');
  };
  if (value.is_object() && !value.get_object().empty()) {
    out += '{';
    bool first = true;
    for (const auto& member : value.get_object()) {
      if (!first) out += ',';
      first = false;
      line(indent + 1);
      out += json::serialize(json::value(member.key())) + ": ";
      write_pretty(out, member.value(), indent + 1);
    }
    line(indent);
    out += '}';
  } else if (value.is_array() && !value.get_array().empty()) {
    out += '[';
    bool first = true;
    for (const auto& item : value.get_array()) {
      if (!first) out += ',';
      first = false;
      line(indent + 1);
      write_pretty(out, item, indent + 1);
    }
    line(indent);
    out += ']';
  } else {
    write(out, value);
  }
}

// The doubles in a value, in the order of its text.
void find_doubles(json::value& value, std::vector<double*>& found) {
  if (auto* number = value.if_double()) {
    found.push_back(number);
  } else if (auto* array = value.if_array()) {
    for (json::value& item : *array) find_doubles(item, found);
  } else if (auto* object = value.if_object()) {
    for (auto& member : *object) find_doubles(member.value(), found);
  }
}

template <class Number>
bool is_all(std::string_view token, Number& number) {
  const char* end = token.data() + token.size();
  const auto read = std::from_chars(token.data(), end, number);
  return read.ec == std::errc() && read.ptr == end;
}

// The numbers in a JSON text that are no 64-bit integers, each as the nearest double.
std::vector<double> doubles_in(std::string_view text) {
  std::vector<double> found;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"') {
      while (++at < text.size() && text[at] != '"')
        if (text[at] == '\\') ++at;
    } else if (text[at] == '-' || (text[at] >= '0' && text[at] <= '9')) {
      const std::size_t end = std::min(text.find_first_not_of("0123456789+-.eE", at), text.size());
      const std::string_view token = text.substr(at, end - at);
      at = end - 1;
      std::int64_t whole = 0;
      std::uint64_t large = 0;
      double number = 0;
      if (!is_all(token, whole) && !is_all(token, large) && is_all(token, number))
        found.push_back(number);
    }
  }
  return found;
}

// Boost.JSON 1.81 reads numbers of more than 15 digits one unit in the last place off, now and
// then: such a value, written and read again, is not what it was, and a replay that computes it
// anew finds another one than the log has.
void read_exactly(json::value& value, std::string_view text) {
  std::vector<double*> doubles;
  find_doubles(value, doubles);
  if (doubles.empty()) return;
  const std::vector<double> exact = doubles_in(text);
  if (exact.size() != doubles.size()) return;  // a member stood there twice, or too small a number
  for (std::size_t i = 0; i < exact.size(); ++i) *doubles[i] = exact[i];
}

}  // namespace

Result<json::value> parse_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = kMaxDepth;
  json::error_code failed;
  json::value value = json::parse(json::string_view(text.data(), text.size()), failed, {}, options);
  if (failed)
    return Error{.code = Code::invalid, .message = fmt::format("not JSON: {}", failed.message())};
  if (!all_finite(value))
    return Error{.code = Code::invalid, .message = "JSON with a number too large to be kept"};
  read_exactly(value, text);
  return value;
}

std::string to_text(const json::value& value) {
  if (!has_double(value)) return json::serialize(value);
  std::string out;
  write(out, value);
  return out;
}

std::string to_pretty_text(const json::value& value) {
  std::string out;
  write_pretty(out, value, 0);
  return out;
}

const json::value* at_pointer(const json::value& value, std::string_view pointer) {
  json::error_code failed;
  const json::value* found =
      value.find_pointer(json::string_view(pointer.data(), pointer.size()), failed);
  return failed ? nullptr : found;
}

bool equal(const json::value& a, const json::value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_int64() && b.is_int64()) return a.get_int64() == b.get_int64();
    json::error_code failed_a, failed_b;
    return a.to_number<double>(failed_a) == b.to_number<double>(failed_b);
  }
  if (a.kind() != b.kind()) return false;
  if (a.is_array()) {
    const auto &x = a.get_array(), &y = b.get_array();
    if (x.size() != y.size()) return false;
    for (size_t i = 0; i < x.size(); ++i)
      if (!equal(x[i], y[i])) return false;
    return true;
  }
  if (a.is_object()) {
    const auto &x = a.get_object(), &y = b.get_object();
    if (x.size() != y.size()) return false;
    for (const auto& member : x) {
      const auto* other = y.if_contains(member.key());
      if (other == nullptr || !equal(member.value(), *other)) return false;
    }
    return true;
  }
  return a == b;
}

}  // namespace tertulia::base
