#include "service/session_selection.h"

#include <fmt/format.h>

#include <charconv>
#include <map>

namespace tertulia::service {
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

base::Result<store::SessionFilter> to_filter(db::Connection& reader,
                                             const SessionSelection& selection,
                                             base::Timestamp now) {
  store::SessionFilter filter;
  for (const model::Id id : selection.ids)
    if (auto row = store::load_session(reader, id); !row) return row.error();
  filter.ids = selection.ids;
  for (const std::string& status : selection.statuses) {
    const auto known = model::from_text<model::SessionStatus>(status);
    if (!known)
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("'{}' is no status of a session", status),
                         .remedy =
                             "not_started, running, waiting, paused, finished, failed, "
                             "terminated"};
    filter.statuses.push_back(*known);
  }
  if (!selection.flow.empty()) filter.flow = selection.flow;
  if (selection.batch > 0) filter.batch = selection.batch;
  if (!selection.older_than.empty()) {
    auto age = parse_age(selection.older_than);
    if (!age) return age.error();
    filter.changed_before = now - *age;
  }
  return filter;
}

}  // namespace tertulia::service
