#include "engine/full_disk.h"

#include <fmt/format.h>

#include "base/log.h"
#include "engine/engine.h"
#include "store/sessions.h"

// A session whose commit finds no room is left by its performance as its last commit left it: under
// way, with open rows. That it is paused is a commit too. It may find room where the larger one did
// not (always on PostgreSQL, where its log has a place of its own); else it is kept in mind and
// tried again. Nothing is asked of a model meanwhile: what it would say could not be stored either.
namespace tertulia::engine {
namespace {

// How often it is looked whether there is room.
constexpr std::chrono::seconds kRoomPoll{1};

}  // namespace

bool is_of_storage(const base::Error& error) {
  return error.code == base::Code::storage || error.code == base::Code::storage_full;
}

std::string answer_not_stored(const std::string& why) {
  return fmt::format("its answer could not be stored: {}", why);
}

std::optional<std::string> Engine::lack_of_room(model::Id session) {
  const std::lock_guard lock(mutex_);
  const auto found = lacks_.find(session);
  return found == lacks_.end() ? std::nullopt : std::optional(found->second.why);
}

std::optional<std::string> Engine::forget_lack_of_room(model::Id session) {
  const std::lock_guard lock(mutex_);
  if (auto node = lacks_.extract(session)) return std::move(node.mapped().why);
  return {};
}

void Engine::on_full_disk(Outcome outcome, const Performance::Ended& ended) {
  const model::Id id = outcome.session_id;
  const std::string why = outcome.error->remedy.empty()
                              ? outcome.error->message
                              : outcome.error->message + "; " + outcome.error->remedy;
  // One that was not under way stays what it is: not begun, paused, waiting for words.
  const auto row = store::load_session(*reader_, id);
  const bool was_under_way = row && row->status == model::SessionStatus::running;
  {
    const std::lock_guard lock(mutex_);
    lacks_[id] = {.why = why, .is_to_be_written = was_under_way};
  }
  if (!was_under_way) {
    ended(outcome);
    return leave(id);
  }
  write_stop(id, why, [this, id, why, outcome, ended](const Outcome& stop) {
    if (stop.error && is_of_storage(*stop.error)) {
      // There may be thousands, of one disk.
      const bool is_first = !std::exchange(looks_for_room_, true);
      spdlog::log(is_first ? spdlog::level::warn : spdlog::level::debug,
                  "session {} is paused, which is written when there is room: {}", id, why);
      Outcome paused{.session_id = id,
                     .status = model::SessionStatus::paused,
                     .stop_reason = model::StopReason::storage_full,
                     .stop_text = why,
                     .error = {}};
      Event event{.id = 0,
                  .type = Event::Type::session_paused,
                  .session_id = id,
                  .time = options_.clock->now(),
                  .data = {}};
      event.data["status"] = model::to_text(paused.status);
      event.data["stop_reason"] = model::to_text(*paused.stop_reason);
      event.data["text"] = why;
      bus_.publish(event);
      ended(paused);
      if (is_first)
        loop_->post_at(std::chrono::steady_clock::now() + kRoomPoll, [this] { look_for_room(); });
    } else {
      forget_lack_of_room(id);
      ended(stop.error ? outcome : stop);
    }
    leave(id);
  });
}

void Engine::write_stop(model::Id session, const std::string& why,
                        const Performance::Ended& written) {
  const auto failed = [session](const base::Error& error) {
    return Outcome{.session_id = session,
                   .status = model::SessionStatus::running,
                   .stop_reason = {},
                   .stop_text = {},
                   .error = error};
  };
  take_soon(
      session, std::make_shared<const Wish>(),
      [this, session, why, written, failed](const base::Result<std::shared_ptr<Taken>>& result) {
        loop_->post([this, session, why, written, failed, result] {
          if (!result) return written(failed(result.error()));
          Taken& taken = **result;
          if (closing_ || taken.state.status != model::SessionStatus::running) {
            // The writer may be gone, and the lease with its node; or somebody else has gone
            // on with the session, and it has stopped again.
            if (!closing_) release(session, taken.token, {});
            return written(
                failed({.code = base::Code::conflict,
                        .message = fmt::format("session {} is not under way", session)}));
          }
          make_performance(std::move(taken), [this, written](const Outcome& outcome) {
            end_performance(outcome, written);
          })->stop_for_room(why);
        });
      });
}

void Engine::look_for_room() {
  if (closing_) return;
  bool is_any = false;
  std::optional<std::pair<model::Id, std::string>> next;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, lack] : lacks_) {
      if (!lack.is_to_be_written) continue;
      is_any = true;
      if (!entered_.emplace(id, last_entry_ + 1).second) continue;
      ++last_entry_;
      next.emplace(id, lack.why);
      break;
    }
  }
  const auto later = [this] {
    loop_->post_at(std::chrono::steady_clock::now() + kRoomPoll, [this] { look_for_room(); });
  };
  looks_for_room_ = is_any;
  if (!is_any) return;
  if (!next) return later();
  write_stop(next->first, next->second, [this, later, id = next->first](const Outcome& stop) {
    const bool has_no_room = stop.error && is_of_storage(*stop.error);
    if (!has_no_room) forget_lack_of_room(id);
    leave(id);
    // Where one finds none, the others would not either.
    if (has_no_room) return later();
    look_for_room();
  });
}

}  // namespace tertulia::engine
