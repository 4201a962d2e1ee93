#include "server/guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/url/pct_string_view.hpp>

#include "server/problem.h"
#include "server/token_book.h"

namespace tertulia::server {
namespace {

constexpr std::size_t kMaxTarget = 8192;

bool is_write(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH" || method == "DELETE";
}

bool contains(const std::vector<std::string>& all, std::string_view one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

// Host names are compared without regard to the case of letters (RFC 9110, 4.2.3).
std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// "application/json; charset=utf-8" -> "application/json"
std::string media_type(std::string_view value) {
  std::string_view type = value.substr(0, value.find(';'));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.remove_suffix(1);
  return lower(type);
}

// Parameters by which tokens travel in addresses elsewhere.
constexpr std::array<std::string_view, 5> kTokenParameters = {"token", "access_token", "api_key",
                                                              "apikey", "key"};

bool has_token_parameter(std::string_view target) {
  const auto question = target.find('?');
  if (question == std::string_view::npos) return false;
  std::string_view query = target.substr(question + 1);
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const auto encoded = boost::urls::make_pct_string_view(pair.substr(0, pair.find('=')));
    if (!encoded) continue;  // no path of ours, as will be told
    const std::string name = lower(encoded->decode());
    if (std::find(kTokenParameters.begin(), kTokenParameters.end(), name) != kTokenParameters.end())
      return true;
  }
  return false;
}

Response unauthorized(std::string_view detail) {
  Response response = problem(401, "denied", detail,
                              "send the field 'Authorization: Bearer TOKEN'; tertulia token create "
                              "makes one");
  response.fields.emplace_back("WWW-Authenticate", "Bearer realm=\"tertulia\"");
  return response;
}

}  // namespace

std::vector<std::string_view> Head::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& field : fields)
    if (field.first == name) values.emplace_back(field.second);
  return values;
}

std::string_view Head::one(std::string_view name) const {
  for (const auto& field : fields)
    if (field.first == name) return field.second;
  return {};
}

Guard::Guard(GuardOptions options, TokenLookup tokens)
    : options_(std::move(options)), tokens_(std::move(tokens)) {}

std::optional<Response> Guard::refuse(const Head& head) const {
  if (head.target.empty() || head.target[0] != '/') {
    if (head.target == "*" && head.method == "OPTIONS") return {};
    return problem(400, "invalid", "the request's target is not a path of this server",
                   "send a path such as /api/v1/sessions; this is no proxy");
  }
  if (head.target.size() > kMaxTarget)
    return problem(414, "invalid",
                   fmt::format("the request's target is longer than {} bytes", kMaxTarget));
  for (const char c : head.target)
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f || c == '\\')
      return problem(400, "invalid", "the request's target holds a character that no path has");
  // Two who disagree on where a request ends can be made to take a part of its body for the next
  // one: so there is one way to say it, beside Content-Length.
  const auto codings = head.all("transfer-encoding");
  if (!codings.empty() &&
      (codings.size() > 1 || lower(codings.front()) != "chunked" || head.version != 11))
    return problem(400, "invalid", "the only transfer coding that is taken is 'chunked', once",
                   "send a Content-Length");
  const auto hosts = head.all("host");
  if (hosts.size() != 1)
    return problem(400, "invalid",
                   hosts.empty() ? "the request has no Host field"
                                 : "the request has more than one Host field");
  if (!contains(options_.hosts, lower(hosts.front())))
    return problem(
        421, "denied",
        fmt::format("this server is not '{}'",
                    hosts.front().size() > 200 ? hosts.front().substr(0, 200) : hosts.front()),
        "use an address that it was started with, or name this one in the "
        "configuration (server: {hosts: [...]})");
  const auto origins = head.all("origin");
  if (origins.size() > 1)
    return problem(400, "invalid", "the request has more than one Origin field");
  const std::string own = fmt::format("{}://{}", options_.scheme, lower(hosts.front()));
  const bool is_cors = !origins.empty() && contains(options_.cors_origins, lower(origins.front()));
  if (!origins.empty() && lower(origins.front()) != own && !is_cors)
    return problem(403, "denied", "a page of another origin may not use this server",
                   "name the origin in the configuration (server: {cors_origins: [...]}) if it "
                   "shall");
  const std::string_view site = head.one("sec-fetch-site");
  if ((site == "cross-site" || site == "same-site") && !is_cors &&
      !(head.method == "GET" && head.one("sec-fetch-mode") == "navigate" &&
        head.target.substr(0, 5) != "/api/" && head.target.substr(0, 4) != "/v1/"))
    return problem(403, "denied", "a page of another site may not use this server");
  if (has_token_parameter(head.target))
    return problem(400, "invalid",
                   "a token in the address is not looked at: addresses are kept in logs and "
                   "histories",
                   "send the field 'Authorization: Bearer TOKEN', and see this token as spoiled");
  if (is_write(head.method)) {
    const auto types = head.all("content-type");
    const std::string_view length = head.one("content-length");
    const bool has_body =
        !head.all("transfer-encoding").empty() || (!length.empty() && length != "0");
    const std::string type = types.empty() ? std::string() : media_type(types.front());
    const bool is_yaml = type == "application/yaml" || type == "application/x-yaml";
    if (types.size() > 1 || (types.empty() ? has_body : type != "application/json" && !is_yaml)) {
      Response response =
          problem(415, "invalid", "what changes something is sent as application/json",
                  "send the field 'Content-Type: application/json'");
      response.fields.emplace_back("Accept", "application/json, application/yaml");
      return response;
    }
  }
  return {};
}

std::optional<Response> Guard::identify(const Head& head, Caller& caller) const {
  const auto fields = head.all("authorization");
  if (fields.empty()) {
    if (options_.needs_token) return unauthorized("this server wants a token");
    caller = {.name = "local", .scope = Scope::admin};
    return {};
  }
  constexpr std::string_view kBearer = "bearer ";
  const std::string_view value = fields.front();
  if (fields.size() > 1 || value.size() <= kBearer.size() ||
      lower(value.substr(0, kBearer.size())) != kBearer)
    return unauthorized("the Authorization field holds no bearer token");
  const std::string_view token = value.substr(kBearer.size());
  // Clients of OpenAI's API cannot do without a key: where none is needed, one that was never this
  // server's says nothing. What looks like a token is held to be one.
  if (!options_.needs_token && head.target.starts_with("/v1/") &&
      !token.starts_with(kTokenPrefix)) {
    caller = {.name = "local", .scope = Scope::admin};
    return {};
  }
  auto known = tokens_(token);
  if (!known && known.error().code != base::Code::denied) return problem(known.error());
  if (!known) return unauthorized(known.error().message);
  caller = *std::move(known);
  return {};
}

std::optional<Response> Guard::refuse_scope(const Caller& caller, Scope needed) {
  if (caller.scope >= needed) return {};
  return problem(403, "denied",
                 fmt::format("this wants a token of scope {}, and this one's is {}",
                             scope_name(needed), scope_name(caller.scope)),
                 fmt::format("tertulia token create NAME --scope {}", scope_name(needed)));
}

std::vector<std::pair<std::string, std::string>> Guard::cors_fields(const Head& head) const {
  if (options_.cors_origins.empty()) return {};
  std::vector<std::pair<std::string, std::string>> fields = {{"Vary", "Origin"}};
  const std::string_view origin = head.one("origin");
  if (origin.empty() || !contains(options_.cors_origins, lower(origin))) return fields;
  fields.emplace_back("Access-Control-Allow-Origin", origin);
  fields.emplace_back("Access-Control-Expose-Headers",
                      "ETag, Location, X-Request-Id, X-Tertulia-Session, Retry-After");
  if (head.method == "OPTIONS") {
    fields.emplace_back("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE");
    fields.emplace_back("Access-Control-Allow-Headers",
                        "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, "
                        "Last-Event-ID, X-Tertulia-Session");
    fields.emplace_back("Access-Control-Max-Age", "600");
  }
  return fields;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned different = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    different |=
        static_cast<unsigned>(static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]));
  return different == 0;
}

}  // namespace tertulia::server
