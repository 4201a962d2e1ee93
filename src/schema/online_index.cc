#include "schema/online_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/failpoint.h"
#include "schema/script.h"
#include "schema/sql_text.h"

namespace tertulia::schema::internal {
namespace {

// Building takes as long as it takes: it waits for other transactions without anybody waiting
// behind it. Limits that a server sets for all its sessions are not meant for it.
class NoTimeLimits final {
 public:
  static base::Result<NoTimeLimits> begin(db::Connection& connection) {
    if (auto set = connection.run_script("SET lock_timeout = 0; SET statement_timeout = 0"); !set)
      return set.error();
    return NoTimeLimits(connection);
  }
  NoTimeLimits(NoTimeLimits&& other) noexcept
      : connection_(std::exchange(other.connection_, nullptr)) {}
  NoTimeLimits& operator=(NoTimeLimits&&) = delete;
  ~NoTimeLimits() {
    // Where this fails the connection is lost, and with it what was set.
    if (connection_ != nullptr)
      static_cast<void>(connection_->run_script("RESET lock_timeout; RESET statement_timeout"));
  }

 private:
  explicit NoTimeLimits(db::Connection& connection) : connection_(&connection) {}
  db::Connection* connection_;
};

enum class Condition { absent, whole, invalid };

base::Result<Condition> condition_of(db::Connection& connection, const std::string& index) {
  Condition condition = Condition::absent;
  const std::string name = quoted_name(index);
  const db::Param param = std::string_view(name);
  auto asked = connection.each_text(
      "SELECT indisvalid AND indisready FROM pg_index WHERE indexrelid = to_regclass($1)",
      {&param, 1}, [&](const db::Row& row) -> base::Result<void> {
        condition = row.boolean(0) ? Condition::whole : Condition::invalid;
        return {};
      });
  if (!asked) return asked.error();
  return condition;
}

base::Result<void> drop(db::Connection& connection, const std::string& index) {
  return connection.run_script(fmt::format("DROP INDEX CONCURRENTLY {}", quoted_name(index)));
}

}  // namespace

base::Result<OnlineIndex> online_index_of(std::string_view sql) {
  const auto tokens = tokens_of(sql);
  if (!tokens) return tokens.error();
  std::size_t at = 0;
  const auto skip = [&](std::string_view word) {
    const bool is_there = at < tokens->size() && (*tokens)[at].is(word);
    if (is_there) ++at;
    return is_there;
  };
  OnlineIndex index{.name = {}, .is_made = skip("create")};
  const bool is_known = index.is_made || skip("drop");
  if (index.is_made) skip("unique");
  const bool is_online = is_known && skip("index") && skip("concurrently");
  if (skip("if")) {
    skip("not");
    skip("exists");
  }
  if (!is_online || at >= tokens->size() || !(*tokens)[at].is_name() || (*tokens)[at].is("on"))
    return base::Error{
        .code = base::Code::invalid,
        .message = fmt::format("outside a transaction there may be CREATE [UNIQUE] INDEX "
                               "CONCURRENTLY name and DROP INDEX CONCURRENTLY name, not: {}",
                               sql)};
  index.name = (*tokens)[at].text;
  return index;
}

std::string without_concurrently(std::string_view sql) {
  const auto tokens = tokens_of(sql);
  std::string text(sql);
  if (!tokens) return text;
  const auto word = std::find_if(tokens->begin(), tokens->end(),
                                 [](const Token& token) { return token.is("concurrently"); });
  if (word != tokens->end()) text.erase(word->begin, word->end - word->begin);
  return text;
}

std::vector<OnlineIndex> online_indexes(const Script& script) {
  std::vector<OnlineIndex> indexes;
  if (!script.outside_transaction) return indexes;
  for (const Statement& statement : script.statements)
    indexes.push_back(online_index_of(statement.sql).value());  // it was parsed with the script
  return indexes;
}

base::Result<void> perform_online(db::Connection& connection, const Script& script) {
  auto unlimited = NoTimeLimits::begin(connection);
  if (!unlimited) return unlimited.error();
  const auto indexes = online_indexes(script);
  for (std::size_t i = 0; i < indexes.size(); ++i) {
    if (auto passed = base::failpoint("migrate.statement"); !passed) return passed;
    const auto& [name, is_made] = indexes[i];
    auto condition = condition_of(connection, name);
    if (!condition) return condition.error();
    if (*condition == (is_made ? Condition::whole : Condition::absent)) continue;
    if (is_made && *condition == Condition::invalid)
      if (auto dropped = drop(connection, name); !dropped) return dropped;
    if (auto done = connection.run_script(script.statements[i].sql); !done) return done;
  }
  return {};
}

base::Result<bool> take_back_online(db::Connection& connection, const Script& script) {
  const auto indexes = online_indexes(script);
  if (!std::all_of(indexes.begin(), indexes.end(),
                   [](const OnlineIndex& index) { return index.is_made; }))
    return false;
  auto unlimited = NoTimeLimits::begin(connection);
  if (!unlimited) return unlimited.error();
  for (const OnlineIndex& index : indexes) {
    auto condition = condition_of(connection, index.name);
    if (!condition) return condition.error();
    if (*condition == Condition::absent) continue;
    if (auto dropped = drop(connection, index.name); !dropped) return dropped.error();
  }
  return true;
}

}  // namespace tertulia::schema::internal
