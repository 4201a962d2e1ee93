// The lint reads a migration's up, statement by statement, for what works on an author's empty
// database and fails, blocks or destroys on one with rows. Each rule has a name; a statement that
// breaks one on purpose says so, with a reason, in a comment right above it:
//
//   -- waive drop: nothing has written to it since 0.3
//   ALTER TABLE roles DROP COLUMN motto;
//
// A waiver holds for that one statement. One that names no rule, gives no reason or waives nothing
// is itself a finding, so waivers cannot outlive what they were for. Downs are not read: they take
// away what their up made, and the runner asks before rows are lost.
//
// It sees statements, not what a DO block or a function does. A rebuild of a table (script.h) is a
// change of type to it, whatever it changes.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "db/connection.h"

namespace tertulia::schema {

struct LintRule {
  std::string_view name;
  std::string_view why;  // the words of a finding
};
[[nodiscard]] std::span<const LintRule> lint_rules();

struct Finding {
  std::string_view rule;  // of lint_rules, or "waiver"
  std::size_t line = 0;   // of the text, where the statement or the waiver stands
  std::string words;

  bool operator==(const Finding&) const = default;
};

// The findings that are not waived, in the order of their lines. Invalid where `up` is not SQL.
[[nodiscard]] base::Result<std::vector<Finding>> lint(db::Engine engine, std::string_view up);

}  // namespace tertulia::schema
