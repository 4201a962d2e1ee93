#include "cli/db_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/utf8.h"
#include "cli/context.h"
#include "cli/terminal.h"

namespace tertulia::cli {

namespace json = base::json;

json::array json_list(const std::vector<std::string>& lines) {
  json::array array;
  for (const auto& line : lines) array.emplace_back(line);
  return array;
}

json::array differences_json(const std::vector<schema::Difference>& differences) {
  json::array array;
  for (const auto& each : differences) {
    json::object one;
    one["table"] = each.table;
    one["object"] = each.object;
    one["kind"] = schema::kind_name(each.kind);
    one["expected"] = each.expected;
    one["found"] = each.found;
    one["remedy"] = each.remedy;
    array.push_back(std::move(one));
  }
  return array;
}

json::object proof_json(const schema::Proof& proof, const db::Location& location) {
  json::object out;
  out["database"] = location.shown();
  out["engine"] = db::engine_name(location.engine);
  out["state"] = schema::state_name(proof.state);
  out["version"] = proof.version;
  out["head"] = proof.head;
  out["pending"] = json_list(proof.pending);
  out["differences"] = differences_json(proof.differences);
  out["notices"] = json_list(proof.notices);
  if (!proof.why.empty()) out["why"] = proof.why;
  if (!proof.remedy.empty()) out["remedy"] = proof.remedy;
  return out;
}

json::object backup_json(const schema::Backup& backup) {
  json::object out, rows;
  out["file"] = backup.file;
  out["version"] = backup.version;
  out["bytes"] = backup.bytes;
  for (const auto& [table, count] : backup.rows) rows[table] = count;
  out["rows"] = std::move(rows);
  return out;
}

json::object plan_json(const schema::Plan& plan, bool with_sql) {
  json::array moves;
  for (const schema::Move& move : plan.moves) {
    json::object one;
    one["migration"] = move.migration->full_name();
    one["direction"] = move.direction == schema::Direction::up ? "up" : "down";
    json::array losses;
    for (const auto& loss : move.losses) losses.emplace_back(loss.words());
    one["losses"] = std::move(losses);
    if (with_sql) one["sql"] = move.script().text;
    moves.push_back(std::move(one));
  }
  json::object out;
  out["from"] = plan.from;
  out["to"] = plan.to;
  out["moves"] = std::move(moves);
  return out;
}

void print_differences(const std::vector<schema::Difference>& differences) {
  using Line = std::array<std::string, 4>;
  std::vector<Line> lines = {{"OBJECT", "EXPECTED", "FOUND", "REMEDY"}};
  const auto or_none = [](const std::string& text) {
    return text.empty() ? std::string("-") : safe_for_terminal(text);
  };
  for (const auto& each : differences)
    lines.push_back(
        {safe_for_terminal(each.object == "table" ? fmt::format("table {}", each.table)
                                                  : fmt::format("{}: {}", each.table, each.object)),
         or_none(each.expected), or_none(each.found), or_none(each.remedy)});
  std::array<std::size_t, 4> widths = {};
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i)
      widths[i] = std::max(widths[i], base::display_width(line[i]));
  for (const auto& line : lines) {
    std::string text;
    for (std::size_t i = 0; i + 1 < line.size(); ++i)
      text += line[i] + std::string(widths[i] - base::display_width(line[i]) + 2, ' ');
    fmt::print("{}\n",
               styled(text + line.back(), &line == &lines.front() ? Style::dim : Style::plain));
  }
}

std::string backup_words(const schema::Backup& backup) {
  std::int64_t rows = 0;
  for (const auto& [table, count] : backup.rows) rows += count;
  return fmt::format("version {}, {} tables with {} rows, {:.1f} MB", backup.version,
                     backup.rows.size(), rows, static_cast<double>(backup.bytes) / 1e6);
}

void print_plan(const schema::Plan& plan, bool with_sql) {
  for (const schema::Move& move : plan.moves) {
    fmt::print("{} {}\n",
               styled(move.direction == schema::Direction::up ? "up" : "down", Style::bold),
               move.migration->full_name());
    for (const auto& loss : move.losses)
      fmt::print("{}\n", styled("  would lose " + loss.words(), Style::red));
    if (with_sql) fmt::print("{}\n", move.script().text);
  }
  if (plan.moves.empty()) fmt::print("nothing to do: the database is at version {}\n", plan.from);
}

int say(const schema::Proof& proof, const db::Location& location, bool as_json) {
  const bool good = proof.may_run();
  if (as_json) {
    print_json(proof_json(proof, location));
    return good ? kExitDone : kExitDatabase;
  }
  fmt::print("{} ({})\nversion {} of {}: {}\n", location.shown(), db::engine_name(location.engine),
             proof.version, proof.head,
             styled(schema::state_name(proof.state), good ? Style::green : Style::red));
  if (!proof.why.empty()) fmt::print("{}\n", safe_for_terminal(proof.why));
  for (const auto& name : proof.pending) fmt::print("pending: {}\n", name);
  if (!proof.differences.empty()) print_differences(proof.differences);
  for (const auto& notice : proof.notices)
    fmt::print("{}\n", styled("notice: " + safe_for_terminal(notice), Style::dim));
  if (!good && !proof.remedy.empty()) fmt::print("{}\n", proof.remedy);
  return good ? kExitDone : kExitDatabase;
}

ProgressLine::ProgressLine(std::string doing, std::string unit)
    : doing_(std::move(doing)), unit_(std::move(unit)), is_live_(error_is_terminal()) {}

ProgressLine::~ProgressLine() {
  if (shown_) fmt::print(stderr, "\r\x1b[K");
}

void ProgressLine::show(std::int64_t done, std::int64_t total) {
  if (!is_live_) return;
  const auto now = std::chrono::steady_clock::now();
  if (shown_ && now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  shown_ = true;
  if (total > 0) {
    fmt::print(stderr, "\r\x1b[K{}: {} of {} {} ({} %)", doing_, done, total, unit_,
               done * 100 / total);
  } else {
    fmt::print(stderr, "\r\x1b[K{}: {} {}", doing_, done, unit_);
  }
  std::fflush(stderr);
}

schema::Progress ProgressLine::callback() {
  return [this](std::int64_t done, std::int64_t total) { show(done, total); };
}

}  // namespace tertulia::cli
