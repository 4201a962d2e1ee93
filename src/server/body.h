// Body reads the JSON object of a request, member by member, and keeps what is wrong with it: each
// place with a pointer to it, all of them at once. Members that nobody asked for are mistakes too.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "server/http.h"
#include "server/problem.h"

namespace tertulia::server {

class Body final {
 public:
  // An empty text is an object without members.
  explicit Body(std::string_view text);

  // Nothing where the member is absent or null. A member that is of another type is a mistake.
  [[nodiscard]] std::optional<std::string> text(std::string_view name);
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view name);
  [[nodiscard]] std::optional<double> number(std::string_view name);
  [[nodiscard]] std::optional<bool> boolean(std::string_view name);
  [[nodiscard]] std::vector<std::string> texts(std::string_view name);
  // An object of texts; numbers, booleans and structures are taken as their JSON.
  [[nodiscard]] std::map<std::string, std::string> text_map(std::string_view name);
  [[nodiscard]] const base::json::value* any(std::string_view name);
  // An object inside; its mistakes are this one's. Nothing where absent.
  [[nodiscard]] std::optional<Body> object(std::string_view name);
  void take(const Body& part);

  void mistake(std::string_view name, std::string detail);
  // In one element of an array.
  void mistake(std::string_view name, std::size_t element, std::string detail);
  // The answer to a body with mistakes (400 where it is no JSON object, else 422), after all
  // members were asked for; nothing where it has none.
  [[nodiscard]] std::optional<Response> refusal();
  // For what the body cannot know to be wrong: 422 at the member.
  [[nodiscard]] static Response refuse(const base::Error& error, std::string_view pointer);

 private:
  Body(const base::json::object& object, std::string pointer);
  [[nodiscard]] const base::json::value* find(std::string_view name);
  void check_unknown();

  base::json::object object_;
  std::string pointer_;
  std::set<std::string, std::less<>> asked_;
  std::vector<FieldError> mistakes_;
  bool is_json_ = true;
};

// The integer of a query's member, or of a path's {id}; 0 and below are none.
[[nodiscard]] std::optional<std::int64_t> parse_id(std::string_view text);

}  // namespace tertulia::server
