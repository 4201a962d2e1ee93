#include "schema/compare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tertulia::schema {
namespace {

constexpr std::string_view kRepair = "tertulia db repair";
constexpr std::string_view kByHand =
    "restore a backup, or change it by hand and run: tertulia db status";

class Comparing final {
 public:
  Comparison compare(const SchemaShape& expected, const SchemaShape& found) {
    for (const auto& [name, table] : expected.tables) {
      table_ = name;
      const auto there = found.tables.find(name);
      if (there == found.tables.end()) {
        missing("table", fmt::format("{} columns", table.columns.size()), true);
      } else {
        compare_tables(table, there->second);
      }
    }
    return std::move(result_);
  }

 private:
  void compare_tables(const TableShape& expected, const TableShape& found) {
    compare_columns(expected, found);
    if (expected.primary_key != found.primary_key)
      changed("primary key", fmt::format("({})", fmt::join(expected.primary_key, ", ")),
              fmt::format("({})", fmt::join(found.primary_key, ", ")));
    compare_sets("foreign key", expected.foreign_keys, found.foreign_keys);
    compare_sets("check", expected.checks, found.checks);
    compare_sets("option", expected.options, found.options);
    compare_sets("trigger", texts(expected.triggers), texts(found.triggers));
    compare_indexes(expected, found);
  }

  void compare_columns(const TableShape& expected, const TableShape& found) {
    for (const auto& [name, column] : expected.columns) {
      const auto there = found.columns.find(name);
      if (there == found.columns.end()) {
        missing("column " + name, column.words(), column.nullable);
      } else if (there->second != column) {
        changed("column " + name, column.words(), there->second.words());
      }
    }
    for (const auto& [name, column] : found.columns)
      if (!expected.columns.contains(name)) unexpected("column " + name, column.words());
  }

  void compare_indexes(const TableShape& expected, const TableShape& found) {
    for (const auto& [name, index] : expected.indexes) {
      const auto there = found.indexes.find(name);
      if (there == found.indexes.end()) {
        missing("index " + name, index.words(), true);
      } else if (there->second != index) {
        changed("index " + name, index.words(), there->second.words());
      }
    }
    for (const auto& [name, index] : found.indexes)
      if (!expected.indexes.contains(name))
        result_.notices.push_back(
            fmt::format("{}: index {} {} is not Tertulia's", table_, name, index.words()));
    for (const auto& words : expected.uniques)
      if (!found.uniques.contains(words)) missing("constraint", words, false);
    for (const auto& words : found.uniques)
      if (!expected.uniques.contains(words))
        result_.notices.push_back(
            fmt::format("{}: constraint {} is not Tertulia's", table_, words));
  }

  // A foreign key of a column that is missing comes back with it.
  bool comes_with_column(std::string_view words) const {
    for (const auto& difference : result_.differences)
      if (difference.table == table_ && difference.kind == Difference::Kind::missing &&
          difference.object.starts_with("column ") &&
          words.starts_with(fmt::format("({})", difference.object.substr(7))))
        return difference.can_be_added;
    return false;
  }

  void compare_sets(std::string_view object, const std::set<std::string>& expected,
                    const std::set<std::string>& found) {
    for (const auto& words : expected)
      if (!found.contains(words)) missing(object, words, comes_with_column(words));
    for (const auto& words : found)
      if (!expected.contains(words)) unexpected(object, words);
  }

  static std::set<std::string> texts(const std::map<std::string, std::string>& triggers) {
    std::set<std::string> all;
    for (const auto& [name, text] : triggers) all.insert(fmt::format("{}: {}", name, text));
    return all;
  }

  void missing(std::string_view object, std::string expected, bool can_be_added) {
    add(object, Difference::Kind::missing, std::move(expected), {}, can_be_added);
  }
  void changed(std::string_view object, std::string expected, std::string found) {
    add(object, Difference::Kind::changed, std::move(expected), std::move(found), false);
  }
  void unexpected(std::string_view object, std::string found) {
    add(object, Difference::Kind::unexpected, {}, std::move(found), false);
  }
  void add(std::string_view object, Difference::Kind kind, std::string expected, std::string found,
           bool can_be_added) {
    result_.differences.push_back({.table = table_,
                                   .object = std::string(object),
                                   .kind = kind,
                                   .expected = std::move(expected),
                                   .found = std::move(found),
                                   .can_be_added = can_be_added,
                                   .remedy = std::string(can_be_added ? kRepair : kByHand)});
  }

  std::string table_;
  Comparison result_;
};

}  // namespace

std::string_view kind_name(Difference::Kind kind) {
  switch (kind) {
    case Difference::Kind::missing:
      return "missing";
    case Difference::Kind::changed:
      return "changed";
    case Difference::Kind::unexpected:
      return "unexpected";
  }
  return {};
}

std::string Difference::words() const {
  const std::string what =
      object == "table" ? fmt::format("table {}", table) : fmt::format("{}: {}", table, object);
  switch (kind) {
    case Kind::missing:
      return fmt::format("{} is missing (expected {})", what, expected);
    case Kind::changed:
      return fmt::format("{} is {}, expected {}", what, found, expected);
    case Kind::unexpected:
      return fmt::format("{} is unexpected: {}", what, found);
  }
  return what;
}

Comparison compare(const SchemaShape& expected, const SchemaShape& found) {
  return Comparing().compare(expected, found);
}

}  // namespace tertulia::schema
