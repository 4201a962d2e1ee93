// Engine performs sessions: many at once in one process, each under a lease, on one loop thread
// with one writer. It is what the command line, the server and the library drive.
//
// Threads: all functions are safe from any thread but the engine's own. Callbacks come on the
// engine's loop and must not block. The destructor stops at once: sessions stay as their last
// commits left them; `pause_all` before it ends them cleanly.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "db/connection.h"
#include "engine/event.h"
#include "engine/loop.h"
#include "engine/node.h"
#include "engine/performance.h"
#include "engine/waiting.h"
#include "engine/writer.h"

namespace tertulia::engine {

struct EngineOptions {
  db::Location location;
  ProviderSource providers;
  const base::Clock* clock = &base::Clock::system();
  Observer* observer = nullptr;  // told what the engine does, and outlives it
};

// What is done with a session.
enum class Action {
  resume,  // begin, or go on to the end
  step,    // one step that asks a model, then pause
  retry,   // the failed step again, and on to the end
  skip,    // leave the open step out, then pause before the next
  answer,  // a person's words for the step that waits for them, and on to the end
  cancel,  // end it for good
};

struct Wish {
  Action action = Action::resume;
  std::optional<flow::Limits> limits = {};  // instead of those in force
  std::string words = {};                   // of an answer
  std::int64_t order = 0;  // the step that is answered, retried or skipped; 0: the one that can be
};

class Engine final {
 public:
  // Opens the database for writing, which the caller has proved fit (schema/proof.h).
  [[nodiscard]] static base::Result<std::unique_ptr<Engine>> start(EngineOptions options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] EventBus& bus() { return bus_; }
  [[nodiscard]] Writer& writer() { return *writer_; }
  [[nodiscard]] const std::string& node_name() const { return node_.name(); }

  // Claims the session's lease and begins to perform it; `ended` is called once when it has
  // stopped, for whatever reason. Fails with conflict where another process performs it (the error
  // names the node), or where the action does not fit its state; with invalid, where the words are
  // none of the choices; with not_found; with storage.
  // A session that waits for a person is gone on with by an answer, or, once its time is used up,
  // by resuming.
  [[nodiscard]] base::Result<void> perform(model::Id session, Wish wish, Performance::Ended ended);
  // The same without waiting for the claim: what keeps the session from being performed comes as
  // the outcome's error. Claims that wait share a transaction.
  void perform_soon(model::Id session, Wish wish, Performance::Ended ended);
  // The same, and tells of the claim, too, once: whether the session is performed now, or why not.
  using Begun = std::function<void(const base::Result<void>&)>;
  void perform_soon(model::Id session, Wish wish, Begun begun, Performance::Ended ended);
  // As perform, and waits for the end.
  [[nodiscard]] base::Result<Outcome> perform_and_wait(model::Id session, Wish wish);

  // Deletes a session with all that it recorded. Conflict where it is performed, here or elsewhere.
  [[nodiscard]] base::Result<void> remove(model::Id session);

  // What a session that is performed is asked to do.
  enum class Request { pause, pause_now, cancel };
  // Asks it of a session of this engine, also of one that is only being claimed; nothing happens
  // where it performs none of that id (see store::ask_holder for those of other processes).
  void ask(model::Id session, Request request);
  // Does this engine perform it?
  [[nodiscard]] bool performs(model::Id session);
  // Returns when it does not, or after so long: false. Not on the engine's loop.
  [[nodiscard]] bool wait_until_left(model::Id session, std::chrono::milliseconds time);

  // Every session of this engine pauses, those too that are only being claimed: after its present
  // step, or at once (its call is stopped).
  void pause_all(bool at_once, model::StopReason reason = model::StopReason::asked);
  // Why the session could not go on for want of room on the disk, since it was performed last;
  // nothing where it could. What it is paused by may not be in the database yet: it is written as
  // soon as there is room, by this engine, or by who performs the session next.
  [[nodiscard]] std::optional<std::string> lack_of_room(model::Id session);
  // Returns when nothing is performed any more.
  void wait_until_idle();
  // The same, for so long at most; false where something is still performed.
  [[nodiscard]] bool wait_until_idle_for(std::chrono::milliseconds time);

 private:
  Engine(EngineOptions options, Node node, std::unique_ptr<Writer> writer,
         std::unique_ptr<db::Connection> reader);

  // A session taken under a lease, ready to be performed.
  struct Taken {
    SessionData session;
    flow::State state;
    std::unique_ptr<SessionRecord> record;
    std::int64_t token = 0;
    std::int64_t last_event = 0;
    std::optional<Waiting> waiting;
  };
  [[nodiscard]] base::Result<Taken> take(db::Connection& connection, model::Id session,
                                         const Wish& wish);
  // The same by the writer, on whose thread `then` is called.
  using TakenOrNot = std::function<void(base::Result<std::shared_ptr<Taken>>)>;
  void take_soon(model::Id session, std::shared_ptr<const Wish> wish, TakenOrNot then);
  // Is the session this engine's to claim? False where it performs it already.
  [[nodiscard]] bool enter(model::Id session);
  void leave(model::Id session);
  void release(model::Id session, std::int64_t token, std::function<void()> then);
  [[nodiscard]] base::Result<std::int64_t> claim(db::Connection& connection, model::Id session);
  void begin(Taken taken, const Wish& wish, const Performance::Ended& ended);
  [[nodiscard]] std::shared_ptr<Performance> make_performance(Taken taken,
                                                              Performance::Ended ended);
  // It is gone, and its lease given back, before `then` is called.
  void end_performance(const Outcome& outcome, const Performance::Ended& then);
  void on_ended(const Outcome& outcome, const Performance::Ended& ended);
  // full_disk.cc. The session's commit failed for want of room; it is entered still.
  void on_full_disk(Outcome outcome, const Performance::Ended& ended);
  // Writes that the session is paused for want of room. What it ends with is its outcome: an error
  // of storage where there still is none, any other where there is nothing to be written any more.
  void write_stop(model::Id session, const std::string& why, const Performance::Ended& written);
  void look_for_room();
  // Why there was no room for it, if so: this is told no more.
  std::optional<std::string> forget_lack_of_room(model::Id session);
  // What is asked of a performance; called on the loop.
  using Asking = std::function<void(Performance&)>;
  [[nodiscard]] static Asking asking(Request request);
  // Now, or once the session that is being claimed has begun; nothing where that was entered anew
  // since.
  void ask_performance(model::Id session, std::uint64_t entry, const Asking& asking);
  void ask_what_was_kept(model::Id session);
  void heartbeat();
  void look_for_requests();

  const EngineOptions options_;
  Node node_;
  FlowCache flows_;
  EventBus bus_;
  std::unique_ptr<db::Connection> reader_;                          // the loop's
  std::map<model::Id, std::shared_ptr<Performance>> performances_;  // the loop's
  bool closing_ = false;                                            // the loop's
  std::mutex mutex_;
  std::condition_variable idle_;
  std::map<model::Id, std::uint64_t> entered_;  // claimed, or being claimed; by which entry
  std::uint64_t last_entry_ = 0;
  std::map<model::Id, std::vector<Asking>> kept_;  // asked of those that had not begun
  struct LackOfRoom {
    std::string why;
    bool is_to_be_written = false;
  };
  std::map<model::Id, LackOfRoom> lacks_;
  bool looks_for_room_ = false;  // the loop's
  Services services_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<Loop> loop_;
};

}  // namespace tertulia::engine
