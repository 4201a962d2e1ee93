// What the server's rooms speak of: a request that was read whole and let in, and its answer. Free
// of any HTTP library, so that routes need none.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "server/outlet.h"

namespace tertulia::server {

// What a caller may do; each may do what those before it may.
enum class Scope { none, read, run, admin };

// "read", "run", "admin".
[[nodiscard]] std::string_view scope_name(Scope scope);

// Who makes a request: a token's holder, or a program on this machine.
struct Caller {
  std::string name = "local";  // "token 3": whose idempotency keys and rate these are
  Scope scope = Scope::none;
};

// Header fields by lower-case name. Of a name that came twice the values are joined by ", ".
using Fields = std::map<std::string, std::string, std::less<>>;

struct Request {
  std::string id;                     // answers and the log's lines carry it
  std::string method;                 // GET, for a HEAD too
  std::string path;                   // decoded, without the query
  std::vector<std::string> captured;  // what the route's {names} stand for, in order
  std::map<std::string, std::string, std::less<>> query;
  Fields fields;
  std::string body;
  Caller caller;

  // A field's value, or nothing ("").
  [[nodiscard]] std::string_view field(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> fields = {};
  std::string body = {};
  // Set: the body comes from it, piece by piece, until it is closed; `body` is not looked at.
  std::shared_ptr<Outlet> outlet = {};
};

[[nodiscard]] Response json_response(const base::json::value& value, int status = 200);

}  // namespace tertulia::server
