#include "schema/script.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/failpoint.h"
#include "schema/online_index.h"
#include "schema/sql_text.h"

namespace tertulia::schema {
namespace {

constexpr std::int64_t kRowsShown = 10;

base::Error invalid(std::string message) {
  return {.code = base::Code::invalid, .message = std::move(message)};
}

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// The values of all lines "-- key: value" of a text.
std::vector<std::string_view> directives(std::string_view text, std::string_view key) {
  const std::string start = fmt::format("-- {}: ", key);
  std::vector<std::string_view> values;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (line.starts_with(start)) values.push_back(trimmed(line.substr(start.size())));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return values;
}

// DROP TABLE [IF EXISTS] t; ALTER TABLE t DROP [COLUMN] [IF EXISTS] c.
void find_dropped(const std::vector<Token>& tokens, std::vector<Dropped>& dropped) {
  const auto is = [&](std::size_t at, std::string_view word) {
    return at < tokens.size() && tokens[at].is(word);
  };
  const auto name_after = [&](std::size_t at) -> std::string {
    if (is(at, "if")) at += is(at + 1, "not") ? 3 : 2;
    return at < tokens.size() ? tokens[at].text : std::string();
  };
  if (is(0, "drop") && is(1, "table")) dropped.push_back({.table = name_after(2), .column = {}});
  if (!is(0, "alter") || !is(1, "table")) return;
  const std::string table = name_after(2);
  for (std::size_t i = 3; i < tokens.size(); ++i) {
    if (!is(i, "drop") || is(i + 1, "constraint") || is(i + 1, "default") || is(i + 1, "not"))
      continue;
    dropped.push_back({.table = table, .column = name_after(is(i + 1, "column") ? i + 2 : i + 1)});
  }
}

base::Result<std::optional<Rebuild>> rebuild_of(db::Engine engine, std::string_view comments,
                                                std::string_view sql) {
  const auto tables = directives(comments, "rebuild");
  const auto values = directives(comments, "rebuild-value");
  const auto without = directives(comments, "rebuild-without");
  if (tables.empty()) {
    if (values.empty() && without.empty()) return std::optional<Rebuild>();
    return invalid(
        "'-- rebuild-value:' and '-- rebuild-without:' belong below '-- rebuild: TABLE'");
  }
  if (engine != db::Engine::sqlite)
    return invalid("'-- rebuild:' is for SQLite; PostgreSQL has ALTER TABLE");
  const auto tokens = tokens_of(sql);
  if (!tokens) return tokens.error();
  if (tables.size() != 1 || tokens->size() < 3 || !(*tokens)[0].is("create") ||
      !(*tokens)[1].is("table") || (*tokens)[2].text != tables.front())
    return invalid(fmt::format("below '-- rebuild: {}' there must be CREATE TABLE {}",
                               tables.front(), tables.front()));
  Rebuild rebuild{.table = std::string(tables.front()), .options = {}};
  for (const std::string_view each : values) {
    const auto equals = each.find('=');
    if (equals == std::string_view::npos)
      return invalid(fmt::format("'-- rebuild-value: {}' must be COLUMN = EXPRESSION", each));
    rebuild.options.values.emplace(trimmed(each.substr(0, equals)),
                                   trimmed(each.substr(equals + 1)));
  }
  for (const std::string_view each : without) rebuild.options.without.emplace(each);
  return std::optional<Rebuild>(std::move(rebuild));
}

// One statement, with the comments above it.
base::Result<void> add_statement(db::Engine engine, std::string_view comments, std::string_view sql,
                                 Script& script) {
  const auto tokens = tokens_of(sql);
  if (!tokens) return tokens.error();
  const auto checks = directives(comments, "check");
  if (!checks.empty()) {
    if (checks.size() != 1 || !tokens->front().is("select"))
      return invalid(
          fmt::format("below '-- check: {}' there must be a SELECT of the rows that "
                      "are in the way",
                      checks.front()));
    script.checks.push_back({.words = std::string(checks.front()), .sql = sql});
    return {};
  }
  auto rebuild = rebuild_of(engine, comments, sql);
  if (!rebuild) return rebuild.error();
  find_dropped(*tokens, script.dropped);
  const bool is_concurrent = std::any_of(
      tokens->begin(), tokens->end(), [](const Token& token) { return token.is("concurrently"); });
  if (is_concurrent != script.outside_transaction)
    return invalid(
        "CREATE and DROP INDEX CONCURRENTLY, and nothing else, stand in a script that says "
        "'-- outside-transaction: yes'");
  if (is_concurrent)
    if (auto index = internal::online_index_of(sql); !index) return index.error();
  script.statements.push_back({.sql = sql, .rebuild = *std::move(rebuild)});
  return {};
}

}  // namespace

std::string directive(std::string_view text, std::string_view key) {
  const auto values = directives(text, key);
  return values.empty() ? std::string() : std::string(values.front());
}

base::Result<Script> parse_script(db::Engine engine, std::string_view text) {
  auto statements = statements_of(text);
  if (!statements) return statements.error();
  Script script{.text = text,
                .statements = {},
                .checks = {},
                .dropped = {},
                .outside_transaction = directive(text, "outside-transaction") == "yes"};
  if (script.outside_transaction && engine != db::Engine::postgres)
    return invalid("'-- outside-transaction:' is for PostgreSQL's CREATE INDEX CONCURRENTLY");
  std::size_t end = 0;  // of the statement before
  for (const std::string_view sql : *statements) {
    const auto begin = static_cast<std::size_t>(sql.data() - text.data());
    auto added = add_statement(engine, text.substr(end, begin - end), sql, script);
    if (!added) return added.error();
    end = begin + sql.size();
  }
  return script;
}

base::Result<void> perform(db::Connection& connection, const Script& script) {
  for (const Statement& statement : script.statements) {
    if (auto passed = base::failpoint("migrate.statement"); !passed) return passed;
    auto done = statement.rebuild ? rebuild_table(connection, statement.rebuild->table,
                                                  statement.sql, statement.rebuild->options)
                : script.outside_transaction
                    ? connection.run_script(internal::without_concurrently(statement.sql))
                    : connection.run_script(statement.sql);
    if (!done) return done;
  }
  return {};
}

base::Result<void> check_data(db::Connection& connection, const Script& script) {
  for (const Check& check : script.checks) {
    std::string shown;
    std::int64_t count = 0;
    auto asked = connection.each_text(check.sql, {}, [&](const db::Row& row) -> base::Result<void> {
      if (++count > kRowsShown) return {};
      shown += "\n ";
      for (int i = 0; i < row.size(); ++i)
        shown += fmt::format(" {}={}", row.name(i), row.is_null(i) ? "NULL" : row.text(i));
      return {};
    });
    if (!asked) return asked.error().in(fmt::format("the check that {}", check.words));
    if (count == 0) continue;
    if (count > kRowsShown) shown += fmt::format("\n  and {} more", count - kRowsShown);
    return base::Error{
        .code = base::Code::conflict,
        .message = fmt::format("it needs that {}; {} row{} in the way:{}", check.words, count,
                               count == 1 ? " is" : "s are", shown),
        .remedy = "mend what is shown, then run: tertulia db migrate"};
  }
  return {};
}

}  // namespace tertulia::schema
