// Performance carries out what the flow machine asks for one session: it asks models, and puts what
// came of it into one commit a step. Lives on the engine's loop, made by Engine; not thread-safe.
//
// A step goes: the answer arrives -> the machine advances -> rows, message, call and state, with
// the next step's row, are one commit -> when that is durable it is announced, and only then the
// next model is asked. A crash between the answer and the commit costs one repeated call. Inside a
// parallel several models are asked at once; answers that arrive while a commit is under way wait
// for it, and are in the next one together.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "engine/asking.h"
#include "engine/commit_builder.h"
#include "engine/event.h"
#include "engine/loop.h"
#include "engine/observer.h"
#include "engine/reporter.h"
#include "engine/request.h"
#include "engine/session_data.h"
#include "engine/session_record.h"
#include "engine/writer.h"
#include "flow/machine.h"
#include "store/commit.h"

namespace tertulia::engine {

// What a performance needs of its engine. Outlives the performance.
struct Services {
  Loop* loop = nullptr;
  Writer* writer = nullptr;
  EventBus* bus = nullptr;
  const base::Clock* clock = nullptr;
  ProviderSource providers;
  Observer* observer = nullptr;  // none: nobody is told
};

// How a performance ended, for whoever waits for it.
struct Outcome {
  model::Id session_id = 0;
  model::SessionStatus status = model::SessionStatus::running;
  std::optional<model::StopReason> stop_reason;
  std::string stop_text;
  // Set where the engine could not go on: the lease was lost, or the database failed. What is
  // committed stands; the session can be resumed. Where the disk was full and the session was under
  // way, it is paused instead (storage_full), also where that could not be written yet.
  std::optional<base::Error> error;
};

class Performance final : public std::enable_shared_from_this<Performance> {
 public:
  static constexpr std::string_view kProcessEnded = "the process that performed the step ended";

  using Ended = std::function<void(const Outcome&)>;

  Performance(Services& services, SessionData session, flow::State state,
              std::unique_ptr<SessionRecord> record, std::int64_t lease_token,
              std::int64_t last_event, Ended ended);
  Performance(const Performance&) = delete;
  Performance& operator=(const Performance&) = delete;

  // Begins with an event. In a session that a process left running, what was under way in other
  // branches goes on with it.
  void begin(flow::Event first);
  // Goes on if the session was left running, else begins with `Resume`. `left_by`: why it was left,
  // for the calls that were under way.
  void resume(std::optional<flow::Limits> limits, std::string_view left_by = kProcessEnded);
  // Pauses a session that was left running because the disk had no room (`why`), and ends.
  void stop_for_room(const std::string& why);
  // Leaves an open step out (0: the one that is meant), and pauses before the next.
  void skip_then_pause(std::int64_t order);

  // Wishes from outside, carried out at the next moment that allows it: calls under way are waited
  // for, or stopped.
  void pause_after_step(model::StopReason reason);
  void pause_now(model::StopReason reason = model::StopReason::asked);
  void cancel();
  // Ends without a word: the engine closes. The session stays as its last commit left it.
  void abandon();

  [[nodiscard]] model::Id session_id() const { return session_.id; }
  [[nodiscard]] std::int64_t lease_token() const { return lease_token_; }

 private:
  // The wishes that wait.
  struct Wishes {
    std::optional<model::StopReason> pause_after_step;
    std::optional<model::StopReason> pause_now;
    bool cancel = false;
    [[nodiscard]] bool any() const { return pause_after_step || pause_now || cancel; }
  };
  // What one commit announces once it is durable.
  using Announcements = std::vector<Event>;
  // What is to be in the next commit.
  struct Batch {
    std::vector<flow::Effect> effects;
    std::vector<store::CallMade> calls;
    std::map<std::int64_t, std::chrono::milliseconds> delays;  // by row: before it is asked again
    bool starts = false;
  };
  // An answer, or a stopped call, that has not been looked at yet.
  struct Arrived {
    std::int64_t order = 0;
    std::uint64_t number = 0;
    llm::Answer answer;
  };

  void apply(std::vector<flow::Event> events, std::vector<store::CallMade> calls);
  // What was under way when the session was left is interrupted; then come the further events.
  void take_up(std::string_view left_by, std::vector<flow::Event> further);
  // False where the machine refused it, or the record could not be read: the performance has ended.
  [[nodiscard]] bool advance(const flow::Event& event, Batch& batch);
  void look_at_arrivals();
  // Makes the requests of what the batch asks, and holds what would exceed a limit.
  [[nodiscard]] bool prepare_asks(Batch& batch);
  void commit(Batch batch);
  void on_durable(const base::Result<void>& result, const Announcements& announcements,
                  const std::vector<std::int64_t>& asks,
                  const std::map<std::int64_t, std::chrono::milliseconds>& delays);
  void go_on();
  [[nodiscard]] bool is_calling() const;
  void stop_calls();
  // What is to be done when no call is under way any more; nothing where nobody wishes anything.
  [[nodiscard]] std::optional<flow::Event> wished() const;
  void ask_after(std::int64_t order, std::chrono::milliseconds delay);
  void ask(std::int64_t order);
  void on_answer(Arrived arrived);
  void end(std::optional<base::Error> error);
  void report_end(bool given_up);

  [[nodiscard]] std::optional<std::string> session_result() const;

  Services& services_;
  const SessionData session_;
  flow::State state_;
  std::unique_ptr<SessionRecord> record_;
  const std::int64_t lease_token_;
  std::int64_t last_event_;  // the number of the session's last durable event
  Ended ended_;
  std::unique_ptr<Reporter> reporter_;  // none where nobody observes

  SchemaCache schemas_;
  std::map<std::int64_t, Asking> askings_;  // by the order of their open rows
  std::vector<Arrived> arrived_;
  std::uint64_t last_number_ = 0;
  bool committing_ = false;
  bool has_asked_ = false;
  bool over_ = false;
  Wishes wishes_;
};

}  // namespace tertulia::engine
