// Walk is the machine on its way from one model step to the next: it performs the steps without
// effects (loop, loop_check, if, set, end), takes gotos, keeps rounds and limits, and stops where a
// model is asked or the session stops. Internal to the machine: see machine.h. Lives for one event;
// borrows the state, which it changes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "flow/machine.h"
#include "flow/render.h"

namespace tertulia::flow {

// The record with what this event adds to it, which is not committed yet.
class FreshRecord final : public Record {
 public:
  explicit FreshRecord(const Record& recorded) : recorded_(&recorded) {}
  void say(std::int64_t position, std::string text);
  void put_out(std::int64_t order, json::value output);

  [[nodiscard]] std::optional<std::string_view> message(std::int64_t position) const override;
  [[nodiscard]] const json::value* output(std::int64_t order) const override;
  [[nodiscard]] std::string_view topic() const override { return recorded_->topic(); }

 private:
  const Record* recorded_;
  std::int64_t position_ = 0;
  std::string text_;
  std::int64_t order_ = 0;
  json::value output_;
};

class Walk final {
 public:
  Walk(const Program& program, State& state, const Record& record)
      : program_(program), state_(state), record_(record), facts_(state, record_) {}

  // Goes on from an instruction (or kEnd) until a model is asked or the session stops.
  void go(int instruction);
  // Closes the open row of a step that was answered, and goes on behind it.
  void answered(const Answered& answer);
  // Closes the open row as skipped, and goes on behind it.
  void skip();

  // Asks the open row's model.
  void ask();
  // Comes to rest until a person answers the open row.
  void wait();
  // Closes the open row, which stays open for retry, skip or cancel.
  void close_open(Closing closing);
  void emit(Effect effect) { effects_.push_back(std::move(effect)); }
  void stop(model::SessionStatus status, model::StopReason reason, std::string text);
  void cancel();

  [[nodiscard]] std::vector<Effect> take_effects() { return std::move(effects_); }

 private:
  [[nodiscard]] const Instruction& step(int index) const {
    return program_.steps[static_cast<std::size_t>(index)];
  }
  // Each performs the instruction and gives the next.
  [[nodiscard]] int perform(int index, const Loop& loop);
  [[nodiscard]] int perform(int index, const LoopCheck& check);
  [[nodiscard]] int perform(int index, const If& choice);
  [[nodiscard]] int perform(int index, const Set& set);
  [[nodiscard]] int perform(int index, const End& end);
  [[nodiscard]] int perform(int index, const Speak& speak);
  [[nodiscard]] int perform(int index, const AskPerson& ask);
  // Opens the row of a step in which somebody says something; false where a limit forbids it.
  [[nodiscard]] bool open_row(int index, model::StepStatus status);

  // Opens a row that is closed at once.
  void write_row(int index, std::int64_t iteration, Closing closing);
  [[nodiscard]] OpenRow next_row(int index);
  // Decides the instruction's goto, marks the closing, and gives where to go on: the jump's target
  // or `otherwise`.
  [[nodiscard]] int take_jump(int index, int otherwise, Closing& closing);
  // Leaves the loops that are not around the jump's target, and counts the round. False where the
  // target is in a loop that is not under way.
  [[nodiscard]] bool land(int from, int target, std::int64_t order);
  void begin_iteration();
  void begin_round();
  // Closes the innermost loop's row; `why` is added to its result_data.
  void leave_loop(Closing closing, std::string_view why = {}, json::value cause = {});
  void finish(model::StopReason reason, std::string text, std::string_view why, json::value cause);
  void fail(std::string text);
  [[nodiscard]] std::optional<model::StopReason> reached_limit() const;
  [[nodiscard]] json::value assigned(const Assignment& assignment) const;

  const Program& program_;
  State& state_;
  FreshRecord record_;
  SessionFacts facts_;
  std::vector<Effect> effects_;
  std::int64_t quiet_rows_ = 0;
  bool resting_ = false;
};

}  // namespace tertulia::flow
