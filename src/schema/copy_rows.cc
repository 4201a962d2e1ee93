#include "schema/copy_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/clock.h"
#include "base/utf8.h"
#include "schema/sql_text.h"

namespace tertulia::schema::internal {
namespace {

constexpr std::size_t kRowsOfPage = 200;
// Of one statement. PostgreSQL takes 65535; SQLite looks each parameter's name up in the list of
// them all, so that many are slower than few.
constexpr std::size_t kMostParams = 16'384;
constexpr std::size_t kMostParamsSqlite = 96;

// What SQLite holds in a cell, by the first letter of its typeof.
constexpr char kInteger = 'i';
constexpr char kReal = 'r';
constexpr char kText = 't';

std::string_view words_of(char type) {
  switch (type) {
    case kInteger:
      return "an integer";
    case kReal:
      return "a number with a fraction";
    case kText:
      return "text";
    default:
      return "bytes";
  }
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string page_sql(db::Engine engine, const TableDescription& table, std::string_view key) {
  std::string columns, types, orphans;
  for (const ColumnDescription& column : table.columns) {
    const std::string name = fmt::format("t.{}", sql_name(column.name));
    columns += name + ", ";
    types += fmt::format("substr(typeof({}), 1, 1) || ", name);
    orphans += column.parent.empty() ? std::string(" || 0")
                                     : fmt::format(
                                           " || ({0} IS NOT NULL AND NOT EXISTS "
                                           "(SELECT 1 FROM {1} p WHERE p.id = {0}))",
                                           name, sql_name(column.parent));
  }
  const std::string facts = engine == db::Engine::sqlite ? types + "''" + orphans : "''";
  return fmt::format("SELECT {0}{1} FROM {2} t WHERE t.{3} >= $1 ORDER BY t.{3} LIMIT {4}", columns,
                     facts, sql_name(table.name), sql_name(key), kRowsOfPage);
}

// In one statement.
base::Result<void> insert_some(db::Connection& connection, const TableDescription& table,
                               std::span<const CopyRow> rows) {
  std::string sql = fmt::format("INSERT INTO {} (", sql_name(table.name));
  const char* separator = "";
  for (const ColumnDescription& column : table.columns) {
    sql += separator + sql_name(column.name);
    separator = ", ";
  }
  sql += ") VALUES ";
  std::vector<db::Param> params;
  params.reserve(rows.size() * table.columns.size());
  for (const CopyRow& row : rows) {
    if (!params.empty()) sql += ", ";
    separator = "(";
    for (const CopyValue& value : row.values) {
      params.push_back(std::visit(
          [](const auto& held) -> db::Param {
            if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::string>) {
              return std::string_view(held);
            } else {
              return held;
            }
          },
          value));
      sql += fmt::format("{}${}", separator, params.size());
      separator = ", ";
    }
    sql += ")";
  }
  auto done = connection.each_text(sql, params, {});
  if (!done)
    return done.error().in(
        fmt::format("rows {} to {} of {}", rows.front().key, rows.back().key, table.name));
  return {};
}

}  // namespace

void add_to(base::Sha256& digest, const CopyRow& row) {
  for (const CopyValue& value : row.values) {
    switch (value.index()) {
      case 0:
        digest.add("n");
        break;
      case 1:
        digest.add(fmt::format("i{};", std::get<1>(value)));
        break;
      case 2:
        digest.add(fmt::format("r{};", std::get<2>(value)));
        break;
      case 3:
        digest.add(std::get<3>(value) ? "b1" : "b0");
        break;
      case 4:
        digest.add(fmt::format("t{}:", std::get<4>(value).size()));
        digest.add(std::get<4>(value));
        break;
    }
  }
  digest.add("\n");
}

std::size_t key_column(const TableDescription& table) {
  const auto key = std::find_if(table.columns.begin(), table.columns.end(),
                                [](const ColumnDescription& column) { return column.is_key; });
  return static_cast<std::size_t>(key - table.columns.begin());
}

PageReader::PageReader(db::Connection& connection, const TableDescription& table,
                       db::Engine meant_for)
    : connection_(connection), table_(table), meant_for_(meant_for), key_at_(key_column(table)) {
  sql_ = page_sql(connection.engine(), table, table.columns[key_at_].name);
}

base::Error PageReader::refuse(std::int64_t key, const ColumnDescription& column,
                               std::string_view why) const {
  return {.code = base::Code::storage,
          .message = fmt::format("row {} of {}: {} {}", key, table_.name, column.name, why),
          .remedy = "change that value and copy again; nothing was copied"};
}

base::Result<CopyValue> PageReader::value(const db::Row& row, int at, char type) const {
  const ColumnDescription& column = table_.columns[static_cast<std::size_t>(at)];
  const auto wrong = [&](std::string_view why) {
    return refuse(row.integer(static_cast<int>(key_at_)), column, why);
  };
  const auto is = [&](char wanted) { return type == 0 || type == wanted; };  // 0: PostgreSQL says
  const auto holds = [&](std::string_view wanted) {
    return wrong(fmt::format("holds {}, not {}", words_of(type), wanted));
  };
  if (row.is_null(at)) {
    if (!column.nullable) return wrong("holds nothing, which is not allowed");
    return CopyValue(nullptr);
  }
  switch (column.type) {
    case ColumnType::integer:
      if (!is(kInteger)) return holds("an integer");
      return CopyValue(row.integer(at));
    case ColumnType::boolean:
      if (!is(kInteger)) return holds("true or false");
      if (row.integer(at) != 0 && row.integer(at) != 1)
        return wrong(fmt::format("holds {}, not true or false", row.integer(at)));
      return CopyValue(row.integer(at) == 1);
    case ColumnType::real: {
      if (!is(kReal) && !is(kInteger)) return holds("a number");
      const double number = row.real(at);
      if (std::isnan(number) && meant_for_ == db::Engine::sqlite)
        return wrong("holds NaN, which SQLite takes for NULL");
      return CopyValue(number == 0 ? 0.0 : number);  // SQLite keeps no sign of a zero
    }
    case ColumnType::time: {
      if (!is(kText)) return holds("a time");
      const auto time = base::parse_iso8601(row.text(at));
      if (!time) return wrong(fmt::format("holds '{}', which is no time", row.text(at)));
      std::string text = base::to_iso8601(*time);
      if (meant_for_ == db::Engine::postgres && (text[0] == '-' || text.starts_with("0000")))
        return wrong("holds a time before the year 1, which PostgreSQL writes otherwise");
      return CopyValue(std::move(text));
    }
    case ColumnType::text:
      break;
  }
  if (!is(kText)) return holds("text");
  const std::string_view text = row.text(at);
  if (meant_for_ == db::Engine::postgres) {
    if (const auto bad = base::first_invalid_utf8(text))
      return wrong(fmt::format("holds {} at byte {}, which PostgreSQL cannot hold",
                               text[*bad] == '\0' ? "a NUL character" : "what is not UTF-8", *bad));
    if (column.length > 0 && characters(text) > static_cast<std::size_t>(column.length))
      return wrong(fmt::format("holds {} characters, and PostgreSQL only {}", characters(text),
                               column.length));
  }
  return CopyValue(std::string(text));
}

base::Result<CopyRow> PageReader::read(const db::Row& row) const {
  const std::size_t count = table_.columns.size();
  const std::string_view facts = row.text(static_cast<int>(count));
  CopyRow copied{.key = row.integer(static_cast<int>(key_at_)),
                 .values = {},
                 .leads_nowhere = std::vector<bool>(count, false)};
  copied.values.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto cell = value(row, static_cast<int>(i), facts.empty() ? char(0) : facts[i]);
    if (!cell) return cell.error();
    copied.values.push_back(*std::move(cell));
    if (!facts.empty()) copied.leads_nowhere[i] = facts[count + i] == '1';
  }
  return copied;
}

base::Result<std::vector<CopyRow>> PageReader::next() {
  std::vector<CopyRow> rows;
  if (at_end_) return rows;
  const std::array<db::Param, 1> params = {from_};
  auto done = connection_.each_text(sql_, params, [&](const db::Row& row) -> base::Result<void> {
    auto copied = read(row);
    if (!copied) return copied.error();
    rows.push_back(*std::move(copied));
    return {};
  });
  if (!done) return done.error();
  at_end_ =
      rows.size() < kRowsOfPage || rows.back().key == std::numeric_limits<std::int64_t>::max();
  if (!at_end_) from_ = rows.back().key + 1;
  return rows;
}

base::Result<void> insert_rows(db::Connection& connection, const TableDescription& table,
                               std::span<const CopyRow> rows) {
  const std::size_t most =
      connection.engine() == db::Engine::sqlite ? kMostParamsSqlite : kMostParams;
  const std::size_t at_once = std::max<std::size_t>(most / table.columns.size(), 1);
  for (; !rows.empty(); rows = rows.subspan(std::min(at_once, rows.size())))
    if (auto done = insert_some(connection, table, rows.first(std::min(at_once, rows.size())));
        !done)
      return done;
  return {};
}

}  // namespace tertulia::schema::internal
