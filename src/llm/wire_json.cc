#include "llm/wire_json.h"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/utf8.h"

namespace tertulia::llm {

namespace json = base::json;

void append_quoted(std::string& out, std::string_view text) {
  out += json::serialize(json::string_view(text.data(), text.size()));
}

void append_member(std::string& out, std::string_view key, double value) {
  fmt::format_to(std::back_inserter(out), R"(,"{}":{})", key, value);
}

void append_member(std::string& out, std::string_view key, std::int64_t value) {
  fmt::format_to(std::back_inserter(out), R"(,"{}":{})", key, value);
}

void append_member(std::string& out, std::string_view key, std::string_view value) {
  fmt::format_to(std::back_inserter(out), R"(,"{}":)", key);
  append_quoted(out, value);
}

void append_member(std::string& out, std::string_view key, const std::vector<std::string>& value) {
  fmt::format_to(std::back_inserter(out), R"(,"{}":{})", key,
                 json::serialize(json::array(value.begin(), value.end())));
}

void append_messages(std::string& out, std::string_view system, const std::vector<Turn>& turns) {
  out += R"("messages":[)";
  const auto append = [&out](std::string_view role, std::string_view text) {
    if (out.back() != '[') out += ',';
    fmt::format_to(std::back_inserter(out), R"({{"role":"{}","content":)", role);
    append_quoted(out, text);
    out += '}';
  };
  if (!system.empty()) append("system", system);
  for (const Turn& turn : turns)
    append(turn.kind == Turn::Kind::user ? "user" : "assistant", turn.text);
  out += ']';
}

std::optional<std::int64_t> count_at(const json::object& object, std::string_view key) {
  const json::value* const found = object.if_contains(key);
  constexpr double kExact = 9007199254740992.0;
  if (found == nullptr) return {};
  if (found->is_int64() && found->get_int64() >= 0) return found->get_int64();
  if (found->is_double() && found->get_double() >= 0 && found->get_double() <= kExact)
    return static_cast<std::int64_t>(found->get_double());
  return {};
}

std::optional<json::value> parse_wire(std::string_view text, json::storage_ptr memory) {
  json::parse_options options;
  options.max_depth = 64;
  options.allow_invalid_utf8 = true;
  json::error_code error;
  json::value value =
      json::parse(json::string_view(text.data(), text.size()), error, std::move(memory), options);
  if (error) return {};
  return value;
}

std::string quotable(std::string_view text) {
  std::string line;
  text = base::clip_bytes(text, 2000);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t c = base::next_code_point(text, at);
    if (c < 0x20 || c == 0x7F)
      line += ' ';
    else if (c == 0xFFFD)
      line += "\xEF\xBF\xBD";
    else
      line += text.substr(begin, at - begin);
  }
  return base::shorten(line, 300);
}

}  // namespace tertulia::llm
