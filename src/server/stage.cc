#include "server/stage.h"

#include <fmt/format.h>

#include <future>
#include <utility>

#include "base/log.h"
#include "engine/full_disk.h"
#include "store/leases.h"
#include "store/sessions.h"

namespace tertulia::server {
namespace {

// At most so many are picked up at a time: the rest the next time.
constexpr std::int64_t kPickUp = 1000;
// How long a session may be held after its end was told, at most.
constexpr std::chrono::seconds kEndTakes{2};

std::string_view request_name(engine::Engine::Request request) {
  switch (request) {
    case engine::Engine::Request::pause:
      return "pause";
    case engine::Engine::Request::pause_now:
      return "pause_now";
    case engine::Engine::Request::cancel:
      return "cancel";
  }
  return "";
}

std::map<model::Id, engine::Wish> plainly(const std::vector<model::Id>& sessions) {
  std::map<model::Id, engine::Wish> wishes;
  for (const model::Id id : sessions) wishes.emplace(id, engine::Wish{});
  return wishes;
}

bool is_databases_fault(const base::Error& error) {
  return engine::is_of_storage(error) || error.code == base::Code::drift;
}

}  // namespace

Stage::Stage(engine::Engine& engine, std::function<void()> on_storage_trouble)
    : engine_(engine), on_storage_trouble_(std::move(on_storage_trouble)) {}

base::Result<void> Stage::begin(model::Id session, engine::Wish wish, Failed failed) {
  return engine_.perform(session, wish,
                         [this, wish, failed = std::move(failed)](const engine::Outcome& outcome) {
                           if (outcome.error && is_databases_fault(*outcome.error) &&
                               outcome.error->code != base::Code::storage_full) {
                             const std::lock_guard lock(mutex_);
                             interrupted_.insert_or_assign(outcome.session_id, wish);
                           }
                           on_ended(outcome);
                           if (outcome.error && failed) failed(*outcome.error);
                         });
}

std::vector<base::Result<void>> Stage::begin_all(const std::vector<model::Id>& sessions) {
  std::vector<std::promise<base::Result<void>>> claims(sessions.size());
  for (std::size_t i = 0; i < sessions.size(); ++i)
    engine_.perform_soon(
        sessions[i], {},
        [&claim = claims[i]](const base::Result<void>& begun) { claim.set_value(begun); },
        [this](const engine::Outcome& outcome) { on_ended(outcome); });
  std::vector<base::Result<void>> begun;
  begun.reserve(sessions.size());
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    begun.push_back(claims[i].get_future().get());
    if (!begun.back() && engine_.performs(sessions[i])) begun.back() = {};
  }
  return begun;
}

void Stage::let_end(db::Connection& reader, model::Id session) {
  const auto end = std::chrono::steady_clock::now() + kEndTakes;
  while (std::chrono::steady_clock::now() < end) {
    if (engine_.wait_until_left(session, std::chrono::milliseconds(0))) return;
    const auto row = store::load_session(reader, session);
    // What runs is not ending; one that is just beginning will say so.
    if (!row || row->status == model::SessionStatus::running) return;
    if (engine_.wait_until_left(session, std::chrono::milliseconds(10))) return;
  }
}

base::Result<void> Stage::ask(model::Id session, engine::Engine::Request request) {
  if (engine_.performs(session)) {
    engine_.ask(session, request);
    return {};
  }
  base::Result<bool> asked = false;
  engine_.writer().run([&](db::Connection& connection) {
    asked = store::ask_holder(connection, session, std::string(request_name(request)));
  });
  if (!asked) return asked.error();
  if (*asked) return {};
  return base::Error{.code = base::Code::conflict,
                     .message = fmt::format("nobody performs session {}", session)};
}

bool Stage::go_on(const std::map<model::Id, engine::Wish>& sessions) {
  for (const auto& [id, wish] : sessions) {
    // What has no room is gone on with by who has made some.
    if (engine_.performs(id) || is_given_up(id) || engine_.lack_of_room(id)) continue;
    auto begun = begin(id, wish);
    // Another process may have been faster, or holds it and is well.
    if (begun || begun.error().code == base::Code::conflict) continue;
    // That is no fault of the session, and the others would fare no better.
    if (is_databases_fault(begun.error())) {
      spdlog::warn("sessions to go on with: {}", begun.error().message);
      return false;
    }
    spdlog::warn("session {} cannot be gone on with: {}", id, begun.error().message);
    give_up(id);
  }
  return true;
}

// What was accepted and never came to its first commit does not show by its status.
void Stage::pick_up_unbegun(db::Connection& reader) {
  if (looks_for_unbegun_) {
    auto claimed = store::list_claimed_sessions(reader, kPickUp);
    if (!claimed) return spdlog::warn("sessions to begin: {}", claimed.error().message);
    const bool is_well = go_on(plainly(*claimed));
    looks_for_unbegun_ = !is_well || static_cast<std::int64_t>(claimed->size()) == kPickUp;
  }
  std::map<model::Id, engine::Wish> unbegun;
  {
    const std::lock_guard lock(mutex_);
    unbegun = std::exchange(interrupted_, {});
  }
  std::erase_if(unbegun, [&](const auto& each) {
    const auto row = store::load_session(reader, each.first);
    return row ? row->status != model::SessionStatus::not_started
               : row.error().code == base::Code::not_found;
  });
  if (go_on(unbegun)) return;
  const std::lock_guard lock(mutex_);
  interrupted_.merge(unbegun);
}

void Stage::pick_up(db::Connection& reader) {
  pick_up_unbegun(reader);
  auto ids = store::list_left_sessions(reader, kPickUp);
  if (!ids) return spdlog::warn("sessions to go on with: {}", ids.error().message);
  if (!go_on(plainly(*ids))) return;
  auto waiting = store::list_waiting_sessions(reader, kPickUp);
  if (!waiting) return spdlog::warn("sessions that wait: {}", waiting.error().message);
  const std::lock_guard lock(mutex_);
  std::map<model::Id, std::optional<base::Timestamp>> still;
  const auto now = base::Clock::system().now();
  for (const model::Id id : *waiting) {
    if (engine_.performs(id)) continue;
    const auto known = waits_.find(id);
    std::optional<base::Timestamp> until;
    if (known != waits_.end()) {
      until = known->second;
    } else if (auto all = engine::find_waiting(reader, flows_, id)) {
      for (const auto& each : *all)
        if (each.until && (!until || *each.until < *until)) until = each.until;
    }
    if (until && *until <= now) {
      engine_.perform_soon(id, {}, [this](const engine::Outcome& outcome) { on_ended(outcome); });
    } else {
      still.emplace(id, until);
    }
  }
  waits_ = std::move(still);
}

void Stage::on_ended(const engine::Outcome& outcome) {
  if (!outcome.error) {
    spdlog::debug("session {} is {}", outcome.session_id, model::to_text(outcome.status));
    return;
  }
  spdlog::warn("session {}: {}", outcome.session_id, outcome.error->message);
  if (is_databases_fault(*outcome.error)) {
    on_storage_trouble_();
  } else {
    give_up(outcome.session_id);
  }
}

bool Stage::is_given_up(model::Id session) {
  const std::lock_guard lock(mutex_);
  return given_up_.count(session) > 0;
}

void Stage::give_up(model::Id session) {
  const std::lock_guard lock(mutex_);
  given_up_.insert(session);
}

}  // namespace tertulia::server
