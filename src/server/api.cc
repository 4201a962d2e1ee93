#include "server/api.h"

#include <fmt/format.h>

#include "server/body.h"
#include "service/stored_version.h"
#include "store/flows.h"

namespace tertulia::server {

base::Result<model::Id> id_of(const Request& request, std::string_view what, std::size_t captured) {
  if (const auto id = parse_id(request.captured[captured])) return *id;
  return base::Error{
      .code = base::Code::not_found,
      .message = fmt::format("there is no {} '{}'", what, request.captured[captured])};
}

base::Result<PageWish> page_of(const Request& request) {
  constexpr std::int64_t kMost = 1000;
  PageWish wish;
  if (const auto limit = request.query.find("limit"); limit != request.query.end()) {
    const auto number = parse_id(limit->second);
    if (!number || *number > kMost)
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("limit is '{}'", limit->second),
                         .remedy = fmt::format("it is a number from 1 to {}", kMost)};
    wish.limit = *number;
  }
  if (const auto cursor = request.query.find("cursor"); cursor != request.query.end()) {
    wish.cursor = parse_id(cursor->second);
    if (!wish.cursor)
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("cursor is '{}'", cursor->second),
                         .remedy = "send the next_cursor of the page before, as it was"};
  }
  return wish;
}

Response page_response(base::json::array items, std::optional<std::int64_t> next) {
  base::json::object page;
  page["items"] = std::move(items);
  page["next_cursor"] = next ? base::json::value(*next) : base::json::value(nullptr);
  return json_response(page);
}

base::Result<void> write(const Api& api,
                         const std::function<base::Result<void>(db::Connection&)>& job) {
  base::Result<void> done;
  api.engine.writer().run([&](db::Connection& connection) { done = job(connection); });
  return done;
}

base::Result<service::StoredFlow> flow_version(const Api& api, Desk& desk, const std::string& name,
                                               std::int64_t number) {
  auto flow = store::find_flow(*desk.reader, name);
  if (!flow) return flow.error();
  if (!*flow)
    return base::Error{.code = base::Code::not_found,
                       .message = fmt::format("there is no stored flow '{}'", name)};
  auto version =
      service::load_stored_version(*desk.reader, **flow, std::to_string(number),
                                   service::surroundings_of(*desk.reader, api.profile_names));
  if (!version) return version.error();
  return service::StoredFlow{std::move(version->program), {.version = std::move(version->row)}};
}

std::vector<std::string> words_of(std::string_view list) {
  std::vector<std::string> words;
  while (!list.empty()) {
    const std::string_view word = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), word.size() + 1));
    if (!word.empty()) words.emplace_back(word);
  }
  return words;
}

std::string query_of(const Request& request, std::string_view name) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? std::string() : found->second;
}

std::vector<Parameter> page_parameters(std::vector<Parameter> more) {
  more.push_back({"limit", "integer", "how many at most, 1 to 1000; 50 where not said"});
  more.push_back({"cursor", "integer", "next_cursor of the page before"});
  return more;
}

}  // namespace tertulia::server
