// Stage performs the sessions of a server: those that requests begin, those that were under way
// when a server stopped or a process died, and those whose person did not answer in time.
//
// Any thread. Outlived by the engine.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace tertulia::server {

class Stage final {
 public:
  // `on_storage_trouble` is called, on the engine's loop, when a session could not go on because
  // the database failed; it must not block.
  Stage(engine::Engine& engine, std::function<void()> on_storage_trouble);

  // Called on the engine's loop where a session that had begun could not be performed to where it
  // stops: what its events tell ends before. It must not block.
  using Failed = std::function<void(const base::Error&)>;

  // Begins to perform; returns when the session is claimed, or says why it is not.
  [[nodiscard]] base::Result<void> begin(model::Id session, engine::Wish wish, Failed failed = {});

  // Begins many, whose claims share transactions; returns when each is claimed or is not: how that
  // went, in their order. One that this engine performs already is not begun again, and is well.
  [[nodiscard]] std::vector<base::Result<void>> begin_all(const std::vector<model::Id>& sessions);

  // A session that is told to have paused or ended is this engine's for a moment longer: waits
  // until that is over, so that who goes on at once is not told that somebody else does.
  void let_end(db::Connection& reader, model::Id session);

  // Asks whoever performs the session, here or in another process; conflict where nobody does.
  [[nodiscard]] base::Result<void> ask(model::Id session, engine::Engine::Request request);

  // Goes on with what nobody performs although it should be: to be called at the start, and now
  // and then, by one thread. Also with what the database's failure had stopped.
  void pick_up(db::Connection& reader);

 private:
  void on_ended(const engine::Outcome& outcome);
  void pick_up_unbegun(db::Connection& reader);
  // Goes on with these; false where the database is in trouble.
  bool go_on(const std::map<model::Id, engine::Wish>& sessions);
  [[nodiscard]] bool is_given_up(model::Id session);
  void give_up(model::Id session);

  engine::Engine& engine_;
  const std::function<void()> on_storage_trouble_;
  std::mutex mutex_;
  std::map<model::Id, std::optional<base::Timestamp>> waits_;  // of persons: until when
  bool looks_for_unbegun_ = true;
  // Those that the database's failure stopped, which may have been before they had begun.
  std::map<model::Id, engine::Wish> interrupted_;
  // Those that failed although the database is well: not tried again by itself, or each would fail
  // every few seconds.
  std::set<model::Id> given_up_;
  engine::FlowCache flows_;
};

}  // namespace tertulia::server
