#include "store/stats.h"

#include <algorithm>
#include <limits>
#include <map>

#include "base/json.h"
#include "store/param.h"
#include "store/session_filter.h"
#include "store/sql.h"

namespace tertulia::store {
namespace {

// A row of the statement stats_rows.
struct StatsRow {
  explicit StatsRow(const db::Row& row)
      : session(row.integer(0)),
        has_step(!row.is_null(3)),
        step(row.integer(3)),
        has_call(!row.is_null(6)) {
    if (!has_call) return;
    call.calls = 1;
    call.failed_calls = row.text(8) == "ok" ? 0 : 1;
    call.prompt_tokens = row.integer(9);
    call.completion_tokens = row.integer(10);
    if (!row.is_null(11)) call.cost_usd = row.real(11);
    call.duration_ms = row.integer(12);
  }

  Id session = 0;
  bool has_step = false;
  Id step = 0;
  bool has_call = false;
  StatsLine call;
};

// A group that is summed up. The rows of a session, and of a step, come one after the other.
class Sum final {
 public:
  void add(const StatsRow& row) {
    if (row.session != last_session_) ++line_.sessions;
    last_session_ = row.session;
    if (row.has_step && row.step != last_step_) ++line_.steps;
    last_step_ = row.step;
    line_.calls += row.call.calls;
    line_.failed_calls += row.call.failed_calls;
    line_.prompt_tokens += row.call.prompt_tokens;
    line_.completion_tokens += row.call.completion_tokens;
    if (row.call.cost_usd) line_.cost_usd = line_.cost_usd.value_or(0) + *row.call.cost_usd;
    line_.duration_ms += row.call.duration_ms;
  }
  [[nodiscard]] const StatsLine& line() const { return line_; }

 private:
  StatsLine line_;
  Id last_session_ = 0;
  Id last_step_ = 0;
};

class Groups final {
 public:
  void add(std::string_view name, const StatsRow& row) {
    auto found = sums_.find(name);
    if (found == sums_.end()) found = sums_.emplace(name, Sum()).first;
    found->second.add(row);
  }
  // The largest first, by that count.
  [[nodiscard]] std::vector<StatsLine> lines(std::int64_t StatsLine::*size) const {
    std::vector<StatsLine> lines;
    for (const auto& [name, sum] : sums_) {
      lines.push_back(sum.line());
      lines.back().name = name;
    }
    std::stable_sort(lines.begin(), lines.end(), [size](const auto& one, const auto& other) {
      return one.*size > other.*size;
    });
    return lines;
  }

 private:
  std::map<std::string, Sum, std::less<>> sums_;
};

// Who spoke, as a step's result tells it; nobody: empty.
std::string speaker_in(std::string_view result) {
  const auto parsed = base::parse_json(result);
  if (!parsed) return {};
  for (const char* pointer : {"/role", "/judges/0/role"})
    if (const auto* role = base::at_pointer(*parsed, pointer); role != nullptr && role->is_string())
      return std::string(role->get_string());
  return {};
}

class StatsReader final {
 public:
  StatsReader(db::Connection& connection, const StatsSlice& slice)
      : connection_(connection), slice_(slice) {}

  // Reads sessions up to that id; returns from which on the next slice is to read.
  base::Result<Id> read(const FilterParams& params, Id last) {
    const bool may_break_off = connection_.engine() == db::Engine::sqlite;
    std::int64_t rows = 0;
    Id session = 0;
    std::optional<Id> next;
    auto done = connection_.each(
        sql::stats_rows, params.list(), [&](const db::Row& row) -> base::Result<void> {
          const Id id = row.integer(0);
          if (may_break_off && id != session && rows >= slice_.rows) {
            next = id;
            return base::Error{.code = base::Code::cancelled, .message = "the slice is full"};
          }
          session = id;
          ++rows;
          add(row);
          return {};
        });
    if (next) return *next;
    if (!done) return done.error();
    return last + 1;
  }

  [[nodiscard]] Stats stats() const {
    return {.total = total_.line(),
            .by_flow = flows_.lines(&StatsLine::sessions),
            .by_role = roles_.lines(&StatsLine::steps),
            .by_model = models_.lines(&StatsLine::calls),
            .by_status = statuses_.lines(&StatsLine::sessions)};
  }

 private:
  void add(const db::Row& row) {
    const StatsRow read(row);
    total_.add(read);
    flows_.add(row.text(1), read);
    statuses_.add(row.text(2), read);
    if (!row.is_null(4)) {
      roles_.add(row.text(4), read);
    } else if (!row.is_null(5)) {
      if (const std::string role = speaker_in(row.text(5)); !role.empty()) roles_.add(role, read);
    }
    if (!read.has_call) return;
    model_ = row.text(6);
    model_ += '/';
    model_ += row.text(7);
    models_.add(model_, read);
  }

  db::Connection& connection_;
  const StatsSlice slice_;
  std::string model_;  // its memory is used again for each row
  Sum total_;
  Groups flows_, roles_, models_, statuses_;
};

}  // namespace

base::Result<Stats> load_stats(db::Connection& connection, const SessionFilter& filter,
                               const StatsSlice& slice) {
  StatsReader reader(connection, slice);
  const FilterParams whole(filter, {});
  Id next = std::max<Id>(whole.lowest(), 1);
  for (;;) {
    // Ids may have wide gaps.
    std::optional<Id> first;
    const std::vector<db::Param> from = {param(next)};
    auto found = connection.each(sql::first_session_from, from,
                                 [&](const db::Row& row) -> base::Result<void> {
                                   if (!row.is_null(0)) first = row.integer(0);
                                   return {};
                                 });
    if (!found) return found.error();
    if (!first || *first > whole.highest()) return reader.stats();
    const Id last = std::min(whole.highest(), *first + (slice.sessions - 1));
    auto read = reader.read(FilterParams(filter, *first, last), last);
    if (!read) return read.error();
    next = *read;
  }
}

}  // namespace tertulia::store
