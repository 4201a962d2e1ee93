#include "schema/lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "schema/script.h"
#include "schema/sql_text.h"

namespace tertulia::schema {
namespace {

constexpr LintRule kDrop = {"drop", "what it holds is lost, and older programs may still read it"};
constexpr LintRule kRename = {"rename", "programs that know the old name stop working"};
constexpr LintRule kTypeChange = {"type-change",
                                  "values may not fit the other type, and every row is rewritten"};
constexpr LintRule kNotNull = {"not-null-over-rows",
                               "rows that are there have no value for it: give it a default"};
constexpr LintRule kUnique = {"unique-over-rows", "rows that are there may hold a value twice"};
constexpr LintRule kForeignKey = {"foreign-key-over-rows",
                                  "rows that are there may refer to nothing"};
constexpr LintRule kIndex = {"index-not-concurrent",
                             "nobody can write to the table while the index is built"};
constexpr LintRule kNarrowKey = {"32-bit-key", "it ends at 2147483647: make it BIGINT"};
constexpr LintRule kZoneless = {"time-without-zone",
                                "it means another moment in another place: make it TIMESTAMPTZ"};
constexpr std::array kRules = {kDrop,       kRename, kTypeChange, kNotNull, kUnique,
                               kForeignKey, kIndex,  kNarrowKey,  kZoneless};

// What a mistaken waiver is found under; it cannot be waived.
constexpr std::string_view kWaiver = "waiver";

constexpr std::array<std::string_view, 9> kNarrowIntegers = {
    "int", "integer", "int4", "smallint", "int2", "serial", "serial4", "smallserial", "serial2"};

template <class Range>
bool contains(const Range& range, std::string_view text) {
  return std::find(range.begin(), range.end(), text) != range.end();
}

// Some of a statement's tokens: a clause, a column's definition.
class Clause final {
 public:
  Clause(const std::vector<Token>& tokens, std::size_t begin, std::size_t end)
      : tokens_(&tokens), begin_(begin), end_(std::min(end, tokens.size())) {}

  [[nodiscard]] std::size_t size() const { return end_ - begin_; }
  [[nodiscard]] bool is(std::size_t at, std::string_view word) const {
    return at < size() && (*tokens_)[begin_ + at].is(word);
  }
  // Do these words stand at this place, one after another?
  [[nodiscard]] bool reads(std::size_t at, std::initializer_list<std::string_view> words) const {
    return std::all_of(words.begin(), words.end(),
                       [&](std::string_view word) { return is(at++, word); });
  }
  // Where these words first stand outside parentheses; `size` if nowhere.
  [[nodiscard]] std::size_t find(std::initializer_list<std::string_view> words) const {
    int depth = 0;
    for (std::size_t at = 0; at < size(); ++at) {
      if (is(at, "(")) ++depth;
      if (is(at, ")")) --depth;
      if (depth == 0 && reads(at, words)) return at;
    }
    return size();
  }
  [[nodiscard]] bool has(std::initializer_list<std::string_view> words) const {
    return find(words) < size();
  }
  [[nodiscard]] std::string name(std::size_t at) const {
    return at < size() && (*tokens_)[begin_ + at].is_name() ? (*tokens_)[begin_ + at].text
                                                            : std::string();
  }
  [[nodiscard]] Clause from(std::size_t at) const {
    return {*tokens_, std::min(begin_ + at, end_), end_};
  }
  // Its parts between the commas outside parentheses.
  [[nodiscard]] std::vector<Clause> parts() const {
    std::vector<Clause> all;
    int depth = 0;
    std::size_t begin = begin_;
    for (std::size_t at = begin_; at <= end_; ++at) {
      if (at < end_ && (*tokens_)[at].is("(")) ++depth;
      if (at < end_ && (*tokens_)[at].is(")")) --depth;
      if (at < end_ && !(depth == 0 && (*tokens_)[at].is(","))) continue;
      if (at > begin) all.emplace_back(*tokens_, begin, at);
      begin = at + 1;
    }
    return all;
  }
  // What stands between the parenthesis at this place and its other half.
  [[nodiscard]] Clause inside(std::size_t open) const {
    if (!is(open, "(")) return from(size());
    return {*tokens_, begin_ + open + 1, std::min(closing(*tokens_, begin_ + open), end_)};
  }

 private:
  const std::vector<Token>* tokens_;
  std::size_t begin_;
  std::size_t end_;
};

// Past IF EXISTS, IF NOT EXISTS and ONLY, to where a name stands.
std::size_t at_name(const Clause& clause, std::size_t at) {
  if (clause.reads(at, {"if", "not", "exists"})) at += 3;
  if (clause.reads(at, {"if", "exists"})) at += 2;
  return clause.is(at, "only") ? at + 1 : at;
}

// The place of a name's last part: of "t" in public.t.
std::size_t last_part(const Clause& clause, std::size_t at) {
  while (clause.is(at + 1, ".")) at += 2;
  return at;
}

class Linting final {
 public:
  explicit Linting(db::Engine engine) : is_postgres_(engine == db::Engine::postgres) {}

  // The rules that a statement breaks, with the words for each. `rebuilt` is the table that gets
  // another shape by it, or empty.
  std::vector<std::pair<LintRule, std::string>> read(const Clause& statement,
                                                     const std::string& rebuilt) {
    found_.clear();
    if (!rebuilt.empty()) {
      find(kTypeChange, fmt::format("rebuild of table {}", rebuilt));
    } else if (statement.is(0, "create")) {
      read_create(statement);
    } else if (statement.is(0, "drop")) {
      read_drop(statement);
    } else if (statement.reads(0, {"alter", "table"})) {
      read_alter_table(statement);
    } else if (statement.is(0, "alter") && statement.has({"rename"})) {
      find(kRename, statement.name(1));
    }
    return std::move(found_);
  }

 private:
  void find(const LintRule& rule, std::string_view what) {
    const bool twice = std::any_of(found_.begin(), found_.end(), [&](const auto& each) {
      return each.first.name == rule.name && each.second == what;
    });
    if (!twice) found_.emplace_back(rule, what);
  }

  void read_create(const Clause& statement) {
    std::size_t at = 1;
    while (statement.is(at, "temp") || statement.is(at, "temporary") ||
           statement.is(at, "unlogged"))
      ++at;
    if (statement.is(at, "table")) {
      read_create_table(statement, last_part(statement, at_name(statement, at + 1)));
    } else if (statement.is(at, "index") || statement.reads(at, {"unique", "index"})) {
      read_create_index(statement);
    }
  }

  void read_create_table(const Clause& statement, std::size_t at) {
    const std::string table = statement.name(at);
    made_.insert(table);
    const auto items = statement.inside(at + 1).parts();
    std::set<std::string> keys;
    for (Clause item : items) {
      if (item.is(0, "constraint")) item = item.from(2);
      const bool is_key = item.reads(0, {"primary", "key"}) || item.reads(0, {"foreign", "key"});
      if (!is_key) continue;
      for (const Clause& column : item.inside(2).parts()) keys.insert(column.name(0));
    }
    for (const Clause& item : items) read_type(table, item, keys.contains(item.name(0)));
  }

  void read_create_index(const Clause& statement) {
    const std::size_t on = statement.find({"on"});
    const std::string table = statement.name(last_part(statement, at_name(statement, on + 1)));
    if (made_.contains(table)) return;
    const bool has_name = !statement.is(on - 1, "index") && !statement.is(on - 1, "concurrently") &&
                          !statement.is(on - 1, "exists");
    const std::string what =
        fmt::format("index {} on {}", has_name ? statement.name(on - 1) : "", table);
    if (statement.is(1, "unique")) find(kUnique, what);
    if (is_postgres_ && !statement.has({"concurrently"})) find(kIndex, what);
  }

  void read_drop(const Clause& statement) {
    // An index holds nothing that the table does not.
    if (statement.is(1, "index")) return;
    std::size_t at = statement.reads(1, {"materialized", "view"}) ? 3 : 2;
    for (const Clause& each : statement.from(at_name(statement, at)).parts()) {
      const std::string name = each.name(last_part(each, 0));
      if (!made_.contains(name)) find(kDrop, fmt::format("{} {}", statement.name(1), name));
    }
  }

  void read_alter_table(const Clause& statement) {
    const std::size_t at = last_part(statement, at_name(statement, 2));
    const std::string table = statement.name(at);
    for (const Clause& action : statement.from(at + 1).parts()) {
      if (action.is(0, "rename")) {
        find(kRename, fmt::format("in table {}", table));
      } else if (action.is(0, "drop")) {
        read_drop_of(table, action);
      } else if (action.is(0, "add")) {
        read_add(table, action.from(1));
      } else if (action.is(0, "alter")) {
        read_alter_column(table, action.from(action.is(1, "column") ? 2 : 1));
      }
    }
  }

  void read_drop_of(const std::string& table, const Clause& action) {
    const bool has_kind = action.is(1, "column") || action.is(1, "constraint");
    find(kDrop, fmt::format("{} {}.{}", has_kind ? action.name(1) : "column", table,
                            action.name(at_name(action, has_kind ? 2 : 1))));
  }

  void read_add(const std::string& table, Clause added) {
    const bool has_rows = !made_.contains(table);
    if (added.is(0, "constraint")) added = added.from(2);
    const std::string what = fmt::format("table {}", table);
    if (added.is(0, "unique") || added.reads(0, {"primary", "key"})) {
      if (has_rows) find(kUnique, what);
    } else if (added.reads(0, {"foreign", "key"})) {
      if (has_rows) find(kForeignKey, what);
    } else if (!added.is(0, "check") && !added.is(0, "exclude")) {
      const std::size_t at = at_name(added, added.is(0, "column") ? 1 : 0);
      if (has_rows) read_new_column(table, added.from(at));
      read_type(table, added.from(at), false);
    }
  }

  void read_new_column(const std::string& table, const Clause& column) {
    const std::string what = fmt::format("column {}.{}", table, column.name(0));
    const bool has_default = column.has({"default"}) && !column.has({"default", "null"});
    const bool makes_itself = column.has({"generated"}) || is_serial(column);
    const bool is_key = column.has({"primary", "key"});
    if ((column.has({"not", "null"}) || is_key) && !has_default && !makes_itself)
      find(kNotNull, what);
    if (column.has({"unique"}) || (is_key && !makes_itself)) find(kUnique, what);
    // Without a default every row has NULL, which refers to nothing.
    if (column.has({"references"}) && has_default) find(kForeignKey, what);
  }

  void read_alter_column(const std::string& table, const Clause& change) {
    const std::string what = fmt::format("column {}.{}", table, change.name(0));
    const std::size_t type = change.find({"type"});
    if (type < change.size()) {
      find(kTypeChange, what);
      read_type_words(what, change.from(type + 1), is_key_name(change.name(0)));
    }
    if (change.reads(1, {"set", "not", "null"})) find(kNotNull, what);
    if (change.reads(1, {"drop", "not", "null"})) find(kTypeChange, what);
  }

  // Of "name type ..."; what a table's constraints say is no type.
  void read_type(const std::string& table, const Clause& column, bool is_key) {
    read_type_words(fmt::format("column {}.{}", table, column.name(0)), column.from(1),
                    is_key || is_key_name(column.name(0)) || column.has({"primary", "key"}) ||
                        column.has({"references"}));
  }

  void read_type_words(const std::string& what, const Clause& type, bool is_key) {
    // SQLite's integers have 64 bits whatever they are called, and its times are text with a zone.
    if (!is_postgres_) return;
    if (is_key && contains(kNarrowIntegers, type.name(0))) find(kNarrowKey, what);
    if (type.is(0, "timestamp") || type.is(0, "time")) {
      const std::size_t after = type.is(1, "(") ? 4 : 1;
      if (!type.reads(after, {"with", "time", "zone"})) find(kZoneless, what);
    }
  }

  static bool is_key_name(const std::string& name) { return name == "id" || name.ends_with("_id"); }
  static bool is_serial(const Clause& column) {
    return column.name(1).find("serial") != std::string::npos;
  }

  bool is_postgres_;
  std::set<std::string> made_;  // tables of this very migration: they have no rows
  std::vector<std::pair<LintRule, std::string>> found_;
};

struct Waiver {
  std::string rule;
  std::string reason;
  std::size_t line = 0;
  bool is_used = false;
};

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t\r"), text.size());
  return text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

// Of the blanks and comments between two statements.
std::vector<Waiver> waivers_in(std::string_view gap, std::size_t line) {
  constexpr std::string_view kStart = "-- waive ";
  std::vector<Waiver> waivers;
  for (;; ++line) {
    const std::size_t end = std::min(gap.find('\n'), gap.size());
    if (const auto text = trimmed(gap.substr(0, end)); text.starts_with(kStart)) {
      const auto words = text.substr(kStart.size());
      const std::size_t colon = std::min(words.find(':'), words.size());
      waivers.push_back(
          {.rule = std::string(trimmed(words.substr(0, colon))),
           .reason = std::string(trimmed(words.substr(std::min(colon + 1, words.size())))),
           .line = line});
    }
    if (end == gap.size()) return waivers;
    gap.remove_prefix(end + 1);
  }
}

// What is wrong with a waiver, once its statement has been read.
std::string complaint(const Waiver& waiver) {
  if (std::none_of(kRules.begin(), kRules.end(),
                   [&](const LintRule& rule) { return rule.name == waiver.rule; }))
    return fmt::format("there is no rule '{}'", waiver.rule);
  if (waiver.reason.empty()) return fmt::format("it gives no reason to waive {}", waiver.rule);
  if (!waiver.is_used) return fmt::format("the statement below it does not break {}", waiver.rule);
  return {};
}

}  // namespace

std::span<const LintRule> lint_rules() {
  return kRules;
}

base::Result<std::vector<Finding>> lint(db::Engine engine, std::string_view up) {
  const auto statements = statements_of(up);
  if (!statements) return statements.error();
  std::vector<Finding> findings;
  Linting linting(engine);
  std::size_t line = 1;
  std::size_t at = 0;
  const auto skip_to = [&](std::size_t to) {
    const auto gap = up.substr(at, to - at);
    auto waivers = waivers_in(gap, line);
    line += static_cast<std::size_t>(std::count(gap.begin(), gap.end(), '\n'));
    at = to;
    return waivers;
  };
  const auto complain = [&](const std::vector<Waiver>& waivers) {
    for (const Waiver& waiver : waivers)
      if (auto words = complaint(waiver); !words.empty())
        findings.push_back({.rule = kWaiver, .line = waiver.line, .words = std::move(words)});
  };
  for (const auto statement : *statements) {
    const auto begin = static_cast<std::size_t>(statement.data() - up.data());
    const std::string rebuilt = directive(up.substr(at, begin - at), "rebuild");
    auto waivers = skip_to(begin);
    const auto tokens = tokens_of(statement);
    if (!tokens) return tokens.error();
    std::vector<Finding> here;
    for (const auto& [rule, what] : linting.read(Clause(*tokens, 0, tokens->size()), rebuilt)) {
      bool is_waived = false;
      for (Waiver& waiver : waivers)
        if (waiver.rule == rule.name) is_waived = waiver.is_used = true;
      if (!is_waived)
        here.push_back(
            {.rule = rule.name, .line = line, .words = fmt::format("{}: {}", what, rule.why)});
    }
    complain(waivers);
    findings.insert(findings.end(), here.begin(), here.end());
    skip_to(at + statement.size());
  }
  complain(skip_to(up.size()));
  return findings;
}

}  // namespace tertulia::schema
