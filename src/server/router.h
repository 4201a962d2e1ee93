// The table of everything that the server answers: one row a method and path, with what it needs
// and what OpenAPI says of it. Who answers is found by it, and the document is made from it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "db/connection.h"
#include "server/http.h"

namespace tertulia::server {

// Gives the answer, from any thread, once.
using Respond = std::function<void(Response)>;

// What a handler is given beside the request: it runs on a worker, which may block.
struct Desk {
  // The worker's own, for the time of the call; null for routes that need no database.
  db::Connection* reader = nullptr;
};

using Handler = std::function<Response(const Request&, Desk&)>;
// Answers later; what it captures must live until then.
using AsyncHandler = std::function<void(const Request&, Desk&, Respond)>;

struct Parameter {
  std::string_view name;
  std::string_view type;  // string, integer, boolean
  std::string_view description;
};

struct Route {
  std::string_view method;
  std::string_view path;  // "/api/v1/sessions/{id}"
  Scope scope = Scope::read;
  std::string_view summary;
  std::string_view tag;
  std::vector<Parameter> query = {};
  std::string_view request = {};                // the name of the body's schema; none: no body
  std::string_view response = {};               // the name of the answer's schema
  int status = 200;                             // of the answer
  std::string_view media = "application/json";  // of the answer
  // Where what a 201 has made is found: a path with a member of the answer, "/api/v1/roles/{name}".
  std::string_view made = {};
  bool is_idempotent_by_key = false;  // a POST that creates or advances
  bool needs_database = true;
  // Answers, with a null reader, also while the database cannot be worked with.
  bool answers_in_trouble = false;
  // Reads so many rows that it is done beside the others, one at a time, and its answer is given
  // again for a while (KeptAnswers).
  bool reads_much = false;
  std::size_t max_body = std::size_t{1} << 20;
  Handler handler = {};
  AsyncHandler async = {};  // instead of `handler`
};

class Router final {
 public:
  void add(Route route);

  struct Found {
    const Route* route = nullptr;  // null: none
    std::vector<std::string> captured;
    std::string allow;  // where only the method does not fit: those that do
  };
  // `path` is decoded. A HEAD finds the GET.
  [[nodiscard]] Found find(std::string_view method, std::string_view path) const;

  [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

// A target's path and query, decoded. Nothing where it is none that this server takes: an encoded
// slash or NUL, a segment "." or "..", bytes that are no UTF-8.
struct Target {
  std::string path;
  std::map<std::string, std::string, std::less<>> query;
};
[[nodiscard]] std::optional<Target> parse_target(std::string_view target);
// A text as one part of a path, for addresses that answers give.
[[nodiscard]] std::string encode_segment(std::string_view text);

}  // namespace tertulia::server
