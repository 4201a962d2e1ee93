// Walk is the machine on its way from one open row to the next: it performs the steps without
// effects, enters and leaves blocks, takes gotos, keeps rounds and limits, and rests where a model
// is asked, a person waited for, or the session stops. Internal to the machine: see machine.h.
// Lives for one event; borrows the state, which it changes.
//
// walk.cc has the steps without effects, loops and jumps; walk_blocks.cc discuss, parallel and
// call; walk_rows.cc the rows that stay open; walk_ends.cc how a session stops.
#pragma once

#include <map>
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
  void say(std::int64_t key, std::string text) { said_[key] = std::move(text); }
  void put_out(std::int64_t order, json::value output) { outputs_[order] = std::move(output); }
  // The message of this row can be read under this position too.
  void place(std::int64_t order, std::int64_t position) { placed_[position] = -order; }

  [[nodiscard]] std::optional<std::string_view> message(std::int64_t key) const override;
  [[nodiscard]] const json::value* output(std::int64_t order) const override;
  [[nodiscard]] std::string_view topic() const override { return recorded_->topic(); }
  [[nodiscard]] std::uint64_t seed() const override { return recorded_->seed(); }
  [[nodiscard]] std::optional<model::StopReason> stopped_before(std::int64_t order) const override {
    return recorded_->stopped_before(order);
  }
  [[nodiscard]] std::optional<Limit> finished_at(std::int64_t order) const override {
    return recorded_->finished_at(order);
  }

 private:
  const Record* recorded_;
  std::map<std::int64_t, std::string> said_;  // by key
  std::map<std::int64_t, std::int64_t> placed_;
  std::map<std::int64_t, json::value> outputs_;
};

class Walk final {
 public:
  Walk(const Program& program, State& state, const Record& record)
      : program_(program), state_(state), record_(record), strand_(&state) {}

  // Goes on with a strand from an instruction (or an end) until every strand rests.
  void go_on(Strand& strand, int instruction);
  // Closes a strand's open row, of a step that was answered, and goes on behind it.
  void answered(Strand& strand, const Answered& answer);
  // Closes a strand's open row as skipped, and goes on behind it.
  void skip(Strand& strand);

  // The open row waits for its model, or person, again; `attempt` more than before.
  void reopen(Strand& strand, std::int64_t attempts_more);
  // The open row is left as it is, with this status and reason, until a person says more.
  void hold(Strand& strand, model::StopReason reason, std::string text);
  void pause(Strand& strand);
  void fail_row(Strand& strand, model::StepStatus status, model::StopReason reason,
                std::string message, std::int64_t duration_ms);
  // `opens`: as the row is opened, which nobody was asked about.
  void reach_limit(Strand& strand, model::StopReason reason, std::string text, bool finishes,
                   bool opens = false);
  // Is the held row still kept by a limit?
  [[nodiscard]] std::optional<model::StopReason> reached_limit(const Strand& strand,
                                                               std::string& text) const;
  void emit(Effect effect) { effects_.push_back(std::move(effect)); }
  void cancel();
  // Why the session stands, if it comes to stand: the event's own reason.
  void set_reason(model::StopReason reason, std::string text) {
    reason_ = reason;
    reason_text_ = std::move(text);
  }
  // What all strands together make of the session's status.
  void settle();

  [[nodiscard]] std::vector<Effect> take_effects() { return std::move(effects_); }

 private:
  // What `perform` gives where the strand rests.
  static constexpr int kRest = -3;

  [[nodiscard]] const Instruction& step(int index) const {
    return program_.steps[static_cast<std::size_t>(index)];
  }
  [[nodiscard]] SessionFacts facts() const { return {state_, *strand_, record_}; }
  [[nodiscard]] bool is_unwinding() const { return over_ || returned_.has_value(); }
  void go(Strand& strand, int instruction);

  // Each performs the instruction and gives the next, or kRest.
  [[nodiscard]] int perform(int index, const Loop& loop);
  [[nodiscard]] int perform(int index, const LoopCheck& check);
  [[nodiscard]] int perform(int index, const If& choice);
  [[nodiscard]] int perform(int index, const Set& set);
  [[nodiscard]] int perform(int index, const End& end);
  [[nodiscard]] int perform(int index, const Speak& speak);
  [[nodiscard]] int perform(int index, const AskPerson& ask);
  [[nodiscard]] int perform(int index, const Discuss& discuss);
  [[nodiscard]] int perform(int index, const Choice& choice);
  [[nodiscard]] int perform(int index, const Parallel& parallel);
  [[nodiscard]] int perform(int index, const Call& call);

  // ---- rows that stay open
  [[nodiscard]] int open_row(int index, std::string role);
  void ask();
  void close_open(Closing closing);
  void say(const Instruction& asked, const Answered& answer);
  [[nodiscard]] int answered_words(const Answered& answer);
  [[nodiscard]] int answered_choice(const Answered& answer);
  [[nodiscard]] int answered_judge(const Answered& answer);
  // Adds what the open row has used to the sums, once it is closed for good.
  void count_spent(const Strand& strand);
  [[nodiscard]] Spent all_spent() const;

  // ---- steps without effects
  // An if's or a check's condition is decided: its row is opened and closed, or `open` is closed.
  [[nodiscard]] int decided(int index, const If& choice, bool held);
  [[nodiscard]] int decided(int index, const LoopCheck& check, std::optional<bool> held);
  // Both give the row's order.
  std::int64_t write_or_close(int index, Closing closing);
  std::int64_t write_row(int index, Closing closing);
  static void mark_branch(const Strand& strand, Closing& closing);
  [[nodiscard]] OpenRow next_row(int index);
  // Decides the instruction's goto, marks the closing, and gives where to go on: the jump's target
  // or `otherwise`.
  [[nodiscard]] int take_jump(int index, int otherwise, Closing& closing);
  // Leaves the loops that are not around the jump's target, and counts the round. False where the
  // target is in a loop that is not under way.
  [[nodiscard]] bool land(int from, int target, std::int64_t order);
  // `next`, where a jump to it was taken and could land.
  [[nodiscard]] int landed(bool jumps, int from, int next, std::int64_t order);
  void begin_iteration();
  void begin_round();
  [[nodiscard]] json::value assigned(const Assignment& assignment) const;
  [[nodiscard]] std::vector<json::value> outputs_of(const std::string& name,
                                                    const std::string& pointer) const;

  // ---- blocks
  // Leaves the innermost block and takes its goto: the next instruction.
  [[nodiscard]] int leave_block(Closing closing);
  // Closes the innermost block's row; `why` is added to its result_data.
  void close_frame(Strand& strand, Closing closing, std::string_view why = {},
                   json::value cause = {});
  [[nodiscard]] int next_turn(int index);
  [[nodiscard]] int chosen_by_order(const Discuss& discuss, const Strand::Frame& frame) const;
  void fork(const Strand::Frame& frame, const Parallel& parallel);
  [[nodiscard]] int join();
  // Takes in what the strand's branches have changed and said.
  void gather(Strand& strand);
  void merge(const Strand& before, const Strand& branch, std::int64_t offset, bool is_each);
  void merge_scope(const Strand& before, const Strand& branch, std::int64_t offset, bool is_each);
  [[nodiscard]] int return_from_call();
  [[nodiscard]] Strand* parent_of(const Strand& strand);

  // ---- the session's end
  void stop(model::SessionStatus status, model::StopReason reason, std::string text);
  void finish(model::StopReason reason, std::string text, std::string_view why, json::value cause);
  void fail(std::string text);
  // Closes all that is open in the strand down to the frame at `depth`: rows as skipped, blocks by
  // `closing`.
  void clear(Strand& strand, std::size_t depth, const Closing& closing, std::string_view why = {},
             const json::value& cause = {});

  // A strand to go on with, after an `end` inside a called flow's branches.
  struct Returned {
    Strand* strand = nullptr;
    int next = 0;
  };

  const Program& program_;
  State& state_;
  FreshRecord record_;
  Strand* strand_;
  std::vector<Effect> effects_;
  std::int64_t quiet_rows_ = 0;
  Say said_;                    // what the answered row said
  bool has_usage_ = false;      // the answer told its usage
  std::int64_t judged_ms_ = 0;  // the duration of a row whose judges have decided
  bool over_ = false;
  std::optional<Returned> returned_;
  std::optional<model::StopReason> reason_;
  std::string reason_text_;
};

// A closing as completed, with this result.
[[nodiscard]] Closing completed(model::ResultType type);
[[nodiscard]] Closing skipped();

}  // namespace tertulia::flow
