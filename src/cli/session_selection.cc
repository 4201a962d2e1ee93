#include "cli/session_selection.h"

#include <fmt/format.h>

#include <charconv>
#include <map>

namespace tertulia::cli {
namespace {

// Longer than any database is old; ten of it still fit a timestamp.
constexpr std::chrono::hours kMostAge{24 * 365 * 1000};

}  // namespace

base::Result<std::chrono::seconds> parse_age(std::string_view text) {
  using std::chrono::seconds;
  static const std::map<char, seconds> units = {{'s', seconds(1)},
                                                {'m', std::chrono::minutes(1)},
                                                {'h', std::chrono::hours(1)},
                                                {'d', std::chrono::hours(24)},
                                                {'w', std::chrono::hours(24 * 7)}};
  const base::Error wrong{
      .code = base::Code::invalid,
      .message =
          fmt::format("'{}' is no age: a number with s, m, h, d or w is, such as 90d", text)};
  std::int64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || number < 0 || end + 1 != text.data() + text.size()) return wrong;
  const auto unit = units.find(*end);
  if (unit == units.end() || number > kMostAge / unit->second) return wrong;
  return number * unit->second;
}

void add_selection(CLI::App& command, SelectionOptions& options) {
  command.add_option("id", options.ids, "The sessions' ids")->check(CLI::PositiveNumber);
  command.add_option("--status", options.statuses, "Only these; several with commas between them")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember(
          {"not_started", "running", "waiting", "paused", "finished", "failed", "terminated"}));
  command.add_option("--flow", options.flow, "Only sessions of this flow");
  command.add_option("--batch", options.batch, "Only sessions of the batch of this number")
      ->check(CLI::PositiveNumber);
  command.add_option("--older-than", options.older_than,
                     "Only sessions with which nothing was done for so long, such as 90d or 12h");
}

base::Result<store::SessionFilter> to_filter(db::Connection& reader,
                                             const SelectionOptions& options, base::Timestamp now) {
  store::SessionFilter filter;
  for (const model::Id id : options.ids)
    if (auto row = store::load_session(reader, id); !row) return row.error();
  filter.ids = options.ids;
  for (const std::string& status : options.statuses)
    if (const auto known = model::from_text<model::SessionStatus>(status))
      filter.statuses.push_back(*known);
  if (!options.flow.empty()) filter.flow = options.flow;
  if (options.batch > 0) filter.batch = options.batch;
  if (!options.older_than.empty()) {
    auto age = parse_age(options.older_than);
    if (!age) return age.error();
    filter.changed_before = now - *age;
  }
  return filter;
}

}  // namespace tertulia::cli
