// Performance carries out what the flow machine asks for one session: it asks models, and puts what
// came of it into one commit a step. Lives on the engine's loop, made by Engine; not thread-safe.
//
// A step goes: the answer arrives -> the machine advances -> rows, message, call and state, with
// the next step's row, are one commit -> when that is durable it is announced, and only then the
// next model is asked. A crash between the answer and the commit costs one repeated call.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/event.h"
#include "engine/loop.h"
#include "engine/request.h"
#include "engine/session_data.h"
#include "engine/session_record.h"
#include "engine/writer.h"
#include "flow/machine.h"
#include "flow/output_schema.h"
#include "store/commit.h"

namespace tertulia::engine {

// What a performance needs of its engine. Outlives the performance.
struct Services {
  Loop* loop = nullptr;
  Writer* writer = nullptr;
  EventBus* bus = nullptr;
  const base::Clock* clock = nullptr;
  ProviderSource providers;
};

// How a performance ended, for whoever waits for it.
struct Outcome {
  model::Id session_id = 0;
  model::SessionStatus status = model::SessionStatus::running;
  std::optional<model::StopReason> stop_reason;
  std::string stop_text;
  // Set where the engine could not go on: the lease was lost, or the database failed. What is
  // committed stands; the session can be resumed.
  std::optional<base::Error> error;
};

class Performance final : public std::enable_shared_from_this<Performance> {
 public:
  using Ended = std::function<void(const Outcome&)>;

  Performance(Services& services, SessionData session, flow::State state,
              std::unique_ptr<SessionRecord> record, std::int64_t lease_token, Ended ended);
  Performance(const Performance&) = delete;
  Performance& operator=(const Performance&) = delete;

  // Begins with an event; for a session whose process died, `Interrupted` is found out here.
  void begin(flow::Event first);
  // Goes on if the session was left running (its process died), else begins with `Resume`.
  void resume(std::optional<flow::Limits> limits);
  // Leaves the open step out, and pauses before the next.
  void skip_then_pause();

  // Wishes from outside, carried out at the next moment that allows it.
  void pause_after_step(model::StopReason reason);
  void pause_now();
  void cancel();
  // Ends without a word: the engine closes. The session stays as its last commit left it.
  void abandon();

  [[nodiscard]] model::Id session_id() const { return session_.id; }
  [[nodiscard]] std::int64_t lease_token() const { return lease_token_; }

 private:
  // The wishes that wait.
  struct Wishes {
    std::optional<model::StopReason> pause_after_step;
    bool pause_now = false;
    bool cancel = false;
  };
  // What one commit announces once it is durable.
  using Announcements = std::vector<Event>;

  void apply(std::vector<flow::Event> events, std::vector<store::CallMade> calls,
             std::chrono::milliseconds delay = {});
  void on_durable(const base::Result<void>& result, const Announcements& announcements, bool asks,
                  std::chrono::milliseconds delay);
  [[nodiscard]] bool carry_out_wishes();
  void ask_after(std::chrono::milliseconds delay);
  void ask();
  void on_answer(std::uint64_t call_number, llm::Answer answer);
  void take_answer(llm::Answer answer);
  void take_failure(const llm::Answer& answer, store::CallMade made);
  [[nodiscard]] base::Result<void> prepare();
  void end(std::optional<base::Error> error);

  // What the person of an `ask` step is shown: its context snapshot.
  [[nodiscard]] base::json::object question() const;
  [[nodiscard]] const flow::Speak& open_speak() const;
  [[nodiscard]] store::CallMade call_made(const llm::Answer& answer) const;
  [[nodiscard]] std::chrono::milliseconds step_time() const;
  [[nodiscard]] std::chrono::milliseconds step_time_left() const;
  [[nodiscard]] const flow::OutputSchema* output_schema();
  [[nodiscard]] std::optional<std::string> session_result() const;

  Services& services_;
  const SessionData session_;
  flow::State state_;
  std::unique_ptr<SessionRecord> record_;
  const std::int64_t lease_token_;
  Ended ended_;

  std::optional<PreparedRequest> prepared_;  // of the open row
  std::shared_ptr<llm::Provider> provider_;
  std::unique_ptr<llm::Call> call_;
  std::uint64_t call_number_ = 0;  // answers and timers of older calls are not ours any more
  base::Timestamp call_started_;
  std::chrono::steady_clock::time_point step_started_;
  bool committing_ = false;
  bool over_ = false;
  Wishes wishes_;
  std::map<int, flow::OutputSchema> schemas_;  // by instruction
};

}  // namespace tertulia::engine
