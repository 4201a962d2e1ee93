#include "server/hub.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/log.h"
#include "engine/event_record.h"
#include "store/session_events.h"

namespace tertulia::server {
namespace {

using engine::Event;
using std::chrono::steady_clock;

// How often what other processes do is looked for.
constexpr std::chrono::milliseconds kLook{200};
// Rows that are read at a time: a page of a follower that is behind, or of what is new.
constexpr std::int64_t kPage = 200;
// How long a commit of another node may take to become visible after later ones (PostgreSQL).
constexpr std::chrono::seconds kGapKept{40};

bool is_last(const Event& event) {
  if (event.type != Event::Type::session_finished) return false;
  const auto* status = event.data.if_contains("status");
  // A session that has failed may be gone on with.
  return status != nullptr && status->is_string() && status->get_string() != "failed";
}

}  // namespace

Piece to_sse(const Event& event, std::string_view id) {
  std::string text;
  if (!id.empty()) text += fmt::format("id: {}\n", id);
  text += fmt::format("event: {}\ndata: ", engine::event_name(event.type));
  text += base::to_text(base::json::value(event.to_json()));
  text += "\n\n";
  return std::make_shared<const std::string>(std::move(text));
}

void SseFollower::take(const Event& event, const Piece& sse) {
  outlet_->push(sse);
  if (ends_with_session_ && is_last(event)) outlet_->close();
}

void SseFollower::take_token(const Event&, const Piece& sse) {
  outlet_->push(sse);
}

void SseFollower::take_unstored(const Event&, const Piece& sse) {
  outlet_->push(sse);
}

base::Result<std::unique_ptr<Hub>> Hub::start(const db::Location& location, engine::EventBus& bus) {
  auto connection = db::open(location, {.access = db::Access::read});
  if (!connection) return connection.error();
  return std::unique_ptr<Hub>(new Hub(*std::move(connection), location, bus));
}

Hub::Hub(std::unique_ptr<db::Connection> connection, db::Location location, engine::EventBus& bus)
    : location_(std::move(location)),
      connection_(std::move(connection)),
      subscription_(bus.subscribe()) {
  subscription_->want_tokens(false);
  thread_ = std::thread([this] { work(); });
}

Hub::~Hub() {
  stop();
}

void Hub::stop() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  subscription_->interrupt();
  if (thread_.joinable()) thread_.join();
  subscription_->close();
}

void Hub::follow(std::shared_ptr<Follower> follower, model::Id session, std::int64_t after) {
  {
    const std::lock_guard lock(mutex_);
    arrived_.push_back({.follower = std::move(follower),
                        .session = session,
                        .number = after,
                        .place = {},
                        .behind = true});
    subscription_->want_tokens(true);
  }
  subscription_->interrupt();
}

void Hub::follow_all(std::shared_ptr<Follower> follower, std::optional<Place> after) {
  {
    const std::lock_guard lock(mutex_);
    arrived_.push_back({.follower = std::move(follower),
                        .session = 0,
                        .number = 0,
                        .place = after.value_or(Place{}),
                        .behind = after.has_value()});
    subscription_->want_tokens(true);
  }
  subscription_->interrupt();
}

void Hub::look() {
  subscription_->interrupt();
}

void Hub::drop_session(model::Id session) {
  {
    const std::lock_guard lock(mutex_);
    dropped_sessions_.insert(session);
  }
  subscription_->interrupt();
}

void Hub::work() {
  auto last_look = steady_clock::now();
  for (;;) {
    bool closed = false;
    auto event = subscription_->next_until(steady_clock::now() + kLook, closed);
    {
      const std::lock_guard lock(mutex_);
      if (ending_ || closed) break;
    }
    take_requests();
    const bool is_time = steady_clock::now() - last_look >= kLook;
    const bool is_token = event && event->type == Event::Type::token;
    const bool is_hint = event && !is_token;
    if (entries_.empty()) {
      is_lost_ = true;  // nobody would be told: begin anew with the next follower
    } else {
      // What was said before a commit that is found by looking is given before it.
      const bool was_lost = is_lost_;
      if (is_token && !was_lost) give_token(*event);
      if (is_hint || is_time || is_lost_) {
        last_look = steady_clock::now();
        read_new();
      }
      if (is_token && was_lost) give_token(*event);
      if (!event || is_hint || is_time) {
        give_behind();
        if (is_hint && event->id == 0) give_unstored(*event);
        forget_done();
      }
    }
  }
  std::vector<Entry> late;
  {
    const std::lock_guard lock(mutex_);
    late = std::exchange(arrived_, {});
  }
  for (const Entry& entry : late) entry.follower->end();
  for (const auto& [session, entry] : entries_) entry->follower->end();
  entries_.clear();
}

void Hub::take_requests() {
  std::vector<Entry> arrived;
  std::set<model::Id> dropped;
  {
    const std::lock_guard lock(mutex_);
    arrived = std::exchange(arrived_, {});
    dropped = std::exchange(dropped_sessions_, {});
  }
  for (Entry& entry : arrived) {
    const model::Id session = entry.session;
    entries_.emplace(session, std::make_shared<Entry>(std::move(entry)));
  }
  for (const model::Id session : dropped) {
    const auto [first, last] = entries_.equal_range(session);
    for (auto entry = first; entry != last; ++entry) entry->second->follower->end();
  }
  count_ = entries_.size();
}

void Hub::read_new() {
  const auto failed = [this](const base::Error& error) {
    // What is missed meanwhile is read when it can be: followers go on by their numbers.
    spdlog::debug("events cannot be read: {}", error.message);
    if (auto opened = db::open(location_, {.access = db::Access::read}))
      connection_ = *std::move(opened);
    is_lost_ = true;
  };
  if (is_lost_) {
    auto last = store::last_events_id(*connection_);
    if (!last) return failed(last.error());
    last_row_ = *last;
    gaps_.clear();
    is_lost_ = false;
    for (auto& [session, entry] : entries_) {
      // Who follows all from now on begins here.
      if (session == 0 && !entry->behind && entry->place.row == 0) entry->place.row = last_row_;
      if (session != 0 || entry->place.row < last_row_) entry->behind = true;
    }
    return;
  }
  if (!gaps_.empty()) {
    const auto now = steady_clock::now();
    std::erase_if(gaps_, [now](const auto& gap) { return gap.second < now; });
  }
  if (!gaps_.empty()) {
    auto late =
        store::load_events_between(*connection_, gaps_.begin()->first, gaps_.rbegin()->first);
    if (!late) return failed(late.error());
    std::erase_if(*late, [this](const auto& row) { return gaps_.erase(row.id) == 0; });
    give_rows(*late);
  }
  for (;;) {
    auto rows = store::load_events_after(*connection_, last_row_, kPage);
    if (!rows) return failed(rows.error());
    if (rows->empty()) return;
    remember_gaps(*rows);
    last_row_ = rows->back().id;
    give_rows(*rows);
    if (static_cast<std::int64_t>(rows->size()) < kPage) return;
  }
}

void Hub::remember_gaps(const std::vector<model::SessionEvents>& rows) {
  if (connection_->engine() == db::Engine::sqlite) return;  // one writes at a time
  model::Id expected = last_row_ + 1;
  const auto until = steady_clock::now() + kGapKept;
  for (const auto& row : rows) {
    for (model::Id id = std::max(expected, row.id - 1000); id < row.id; ++id)
      gaps_.emplace(id, until);
    expected = row.id + 1;
  }
}

void Hub::give_rows(const std::vector<model::SessionEvents>& rows) {
  for (const model::SessionEvents& row : rows) {
    const model::Id session = row.session_id.value_or(0);
    const auto [first, last] = entries_.equal_range(session);
    const auto [first_all, last_all] = entries_.equal_range(0);
    if (first == last && first_all == last_all) continue;
    auto events = engine::read_events(*connection_, {row});
    if (!events) {
      // Deleted meanwhile, or unreadable: its followers look for themselves.
      for (auto entry = first; entry != last; ++entry) entry->second->behind = true;
      continue;
    }
    for (const Event& event : *events) {
      Piece sse;
      for (auto each = first; each != last; ++each) {
        Entry& entry = *each->second;
        if (entry.behind || event.id <= entry.number) continue;
        if (event.id != entry.number + 1 || entry.follower->is_full()) {
          entry.behind = true;
          continue;
        }
        if (!sse) sse = to_sse(event, std::to_string(event.id));
        entry.follower->take(event, sse);
        entry.number = event.id;
      }
      Piece sse_of_all;
      for (auto each = first_all; each != last_all; ++each) {
        Entry& entry = *each->second;
        if (entry.behind) continue;
        if (entry.follower->is_full()) {
          entry.behind = true;
          continue;
        }
        if (!sse_of_all) sse_of_all = to_sse(event, fmt::format("{}.{}", row.id, event.id));
        entry.follower->take(event, sse_of_all);
        entry.place = {.row = std::max(entry.place.row, row.id), .number = event.id};
      }
    }
    for (auto each = first; each != last; ++each)
      if (session != 0 && !each->second->behind) each->second->follower->end_commit();
  }
}

void Hub::give_behind() {
  for (auto& [session, entry] : entries_) {
    if (!entry->behind || entry->follower->is_full() || entry->follower->is_done()) continue;
    entry->behind = !(session == 0 ? catch_up_all(*entry) : catch_up(*entry));
  }
}

bool Hub::catch_up(Entry& entry) {
  while (!entry.follower->is_full()) {
    auto events = engine::load_events(*connection_, entry.session, entry.number, kPage);
    if (!events) return false;
    if (events->empty()) return true;
    for (const Event& event : *events) {
      entry.follower->take(event, to_sse(event, std::to_string(event.id)));
      entry.number = event.id;
    }
    entry.follower->end_commit();
  }
  return false;
}

bool Hub::catch_up_all(Entry& entry) {
  while (!entry.follower->is_full()) {
    // The row of the place again: the follower may have had a part of it.
    auto rows = store::load_events_after(*connection_, entry.place.row - 1, kPage);
    if (!rows) return false;
    bool has_more = false;
    for (const auto& row : *rows) {
      if (row.id > last_row_) break;  // new ones are given as such
      if (row.id == entry.place.row && row.last_number <= entry.place.number) continue;
      auto events = engine::read_events(*connection_, {row});
      if (!events) return false;
      for (const Event& event : *events) {
        if (row.id == entry.place.row && event.id <= entry.place.number) continue;
        entry.follower->take(event, to_sse(event, fmt::format("{}.{}", row.id, event.id)));
      }
      entry.place = {.row = row.id, .number = row.last_number};
      has_more = true;
    }
    if (!has_more) return true;
  }
  return false;
}

void Hub::give_token(const Event& token) {
  Piece sse;
  const auto give = [&](Entry& entry) {
    if (entry.behind || entry.follower->is_full()) {
      ++dropped_;
      entry.follower->miss_token(token);
      return;
    }
    if (!sse) sse = to_sse(token, {});
    entry.follower->take_token(token, sse);
  };
  const auto [first, last] = entries_.equal_range(token.session_id);
  for (auto each = first; each != last; ++each) give(*each->second);
  const auto [first_all, last_all] = entries_.equal_range(0);
  for (auto each = first_all; each != last_all; ++each) give(*each->second);
}

void Hub::give_unstored(const Event& event) {
  const Piece sse = to_sse(event, {});
  for (const model::Id whose : {event.session_id, model::Id{0}}) {
    const auto [first, last] = entries_.equal_range(whose);
    for (auto each = first; each != last; ++each)
      if (!each->second->behind && !each->second->follower->is_full())
        each->second->follower->take_unstored(event, sse);
  }
}

void Hub::forget_done() {
  std::erase_if(entries_, [](const auto& each) { return each.second->follower->is_done(); });
  count_ = entries_.size();
  const std::lock_guard lock(mutex_);
  if (entries_.empty() && arrived_.empty()) subscription_->want_tokens(false);
}

}  // namespace tertulia::server
