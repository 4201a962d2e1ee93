#include "server/body.h"

#include <fmt/format.h>

#include <charconv>

#include "base/near_name.h"

namespace tertulia::server {

namespace json = base::json;

namespace {

// RFC 6901: "~" and "/" have meanings of their own.
std::string pointer_to(std::string_view base, std::string_view name) {
  std::string pointer(base);
  pointer += '/';
  for (const char c : name) {
    if (c == '~') {
      pointer += "~0";
    } else if (c == '/') {
      pointer += "~1";
    } else {
      pointer += c;
    }
  }
  return pointer;
}

}  // namespace

Body::Body(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return;
  auto value = base::parse_json(text);
  if (!value) {
    is_json_ = false;
    mistakes_.push_back({"", value.error().message});
  } else if (!value->is_object()) {
    is_json_ = false;
    mistakes_.push_back({"", "an object is wanted here"});
  } else {
    object_ = std::move(value->get_object());
  }
}

Body::Body(const json::object& object, std::string pointer)
    : object_(object), pointer_(std::move(pointer)) {}

const json::value* Body::find(std::string_view name) {
  asked_.emplace(name);
  const json::value* value = object_.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

void Body::mistake(std::string_view name, std::string detail) {
  mistakes_.push_back({name.empty() ? pointer_ : pointer_to(pointer_, name), std::move(detail)});
}

void Body::mistake(std::string_view name, std::size_t element, std::string detail) {
  mistakes_.push_back(
      {fmt::format("{}/{}", pointer_to(pointer_, name), element), std::move(detail)});
}

std::optional<std::string> Body::text(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) return {};
  if (value->is_string()) return std::string(value->get_string());
  mistake(name, "a string is wanted here");
  return {};
}

std::optional<std::int64_t> Body::integer(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) return {};
  if (value->is_int64()) return value->get_int64();
  mistake(name, "an integer is wanted here");
  return {};
}

std::optional<double> Body::number(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) return {};
  if (value->is_number()) return value->to_number<double>();
  mistake(name, "a number is wanted here");
  return {};
}

std::optional<bool> Body::boolean(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) return {};
  if (value->is_bool()) return value->get_bool();
  mistake(name, "true or false is wanted here");
  return {};
}

std::vector<std::string> Body::texts(std::string_view name) {
  std::vector<std::string> all;
  const json::value* value = find(name);
  if (value == nullptr) return all;
  if (!value->is_array()) {
    mistake(name, "an array of strings is wanted here");
    return all;
  }
  for (const json::value& each : value->get_array()) {
    if (each.is_string()) {
      all.emplace_back(each.get_string());
    } else {
      mistake(name, "an array of strings is wanted here");
      break;
    }
  }
  return all;
}

std::map<std::string, std::string> Body::text_map(std::string_view name) {
  std::map<std::string, std::string> all;
  const json::value* value = find(name);
  if (value == nullptr) return all;
  if (!value->is_object()) {
    mistake(name, "an object is wanted here");
    return all;
  }
  for (const auto& member : value->get_object())
    all.emplace(member.key(), member.value().is_string() ? std::string(member.value().get_string())
                                                         : base::to_text(member.value()));
  return all;
}

const json::value* Body::any(std::string_view name) {
  return find(name);
}

std::optional<Body> Body::object(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) return {};
  if (!value->is_object()) {
    mistake(name, "an object is wanted here");
    return {};
  }
  return Body(value->get_object(), pointer_to(pointer_, name));
}

void Body::check_unknown() {
  const std::vector<std::string> known(asked_.begin(), asked_.end());
  for (const auto& member : object_) {
    if (asked_.count(member.key()) > 0) continue;
    const std::string near = base::near_name(member.key(), known);
    mistake(member.key(), near.empty() ? "there is no member of this name"
                                       : fmt::format("there is no member of this name; did you "
                                                     "mean '{}'?",
                                                     near));
  }
}

void Body::take(const Body& part) {
  Body checked = part;
  checked.check_unknown();
  mistakes_.insert(mistakes_.end(), checked.mistakes_.begin(), checked.mistakes_.end());
}

std::optional<Response> Body::refusal() {
  if (is_json_) check_unknown();
  if (mistakes_.empty()) return {};
  if (!is_json_)
    return problem(400, "invalid", "the body is no JSON object: " + mistakes_.front().detail,
                   "send a JSON object (RFC 8259)", {mistakes_.front()});
  return problem(
      422, "invalid",
      fmt::format("the body has {} mistake{}", mistakes_.size(), mistakes_.size() == 1 ? "" : "s"),
      "/api/v1/openapi.json has what is taken here", mistakes_);
}

Response Body::refuse(const base::Error& error, std::string_view pointer) {
  if (error.code != base::Code::invalid && error.code != base::Code::not_found)
    return problem(error);
  return problem(422, "invalid", error.message, error.remedy,
                 {{std::string(pointer), error.message}});
}

std::optional<std::int64_t> parse_id(std::string_view text) {
  std::int64_t id = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), id);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() || id <= 0) return {};
  return id;
}

}  // namespace tertulia::server
