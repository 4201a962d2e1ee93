#include "server/router.h"

#include <boost/url/encode.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <boost/url/url_view.hpp>

#include "base/utf8.h"

namespace tertulia::server {
namespace {

std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::string_view segment = path.substr(0, path.find('/'));
    segments.push_back(segment);
    path.remove_prefix(segment.size());
  }
  return segments;
}

bool is_capture(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

bool matches(std::string_view pattern, const std::vector<std::string_view>& path,
             std::vector<std::string>& captured) {
  const auto wanted = segments_of(pattern);
  if (wanted.size() != path.size()) return false;
  captured.clear();
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (is_capture(wanted[i])) {
      if (path[i].empty()) return false;
      captured.emplace_back(path[i]);
    } else if (wanted[i] != path[i]) {
      return false;
    }
  }
  return true;
}

}  // namespace

void Router::add(Route route) {
  routes_.push_back(std::move(route));
}

Router::Found Router::find(std::string_view method, std::string_view path) const {
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  const auto segments = segments_of(path);
  Found found;
  std::vector<std::string> captured;
  // Routes with fixed words go before those with captures: /sessions/stats is no id.
  std::size_t fewest = SIZE_MAX;
  for (const Route& route : routes_) {
    if (!matches(route.path, segments, captured)) continue;
    if (captured.size() < fewest) {
      found = {};
      fewest = captured.size();
    } else if (captured.size() > fewest) {
      continue;
    }
    if (!found.allow.empty()) found.allow += ", ";
    found.allow += route.method;
    if (route.method == "GET") found.allow += ", HEAD";
    if (route.method == wanted) {
      found.route = &route;
      found.captured = captured;
    }
  }
  if (!found.allow.empty()) found.allow += ", OPTIONS";
  return found;
}

std::string encode_segment(std::string_view text) {
  return boost::urls::encode(text, boost::urls::unreserved_chars);
}

std::optional<Target> parse_target(std::string_view text) {
  const auto parsed = boost::urls::parse_origin_form(text);
  // A first segment "." is none to the parser.
  if (!parsed || text.substr(0, 3) == "/./") return {};
  Target target;
  for (const auto& segment : parsed->encoded_segments()) {
    const std::string plain = segment.decode();
    if (plain == "." || plain == ".." || plain.find('/') != std::string::npos ||
        plain.find('\0') != std::string::npos || base::first_invalid_utf8(plain))
      return {};
    target.path += '/';
    target.path += plain;
  }
  if (target.path.empty()) target.path = "/";
  boost::urls::encoding_opts plus_is_blank;
  plus_is_blank.space_as_plus = true;
  for (const auto& pair : parsed->encoded_params()) {
    const std::string key = pair.key.decode(plus_is_blank);
    const std::string value = pair.value.decode(plus_is_blank);
    if (base::first_invalid_utf8(key) || base::first_invalid_utf8(value)) return {};
    target.query[key] = value;
  }
  return target;
}

}  // namespace tertulia::server
