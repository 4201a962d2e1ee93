// For the tests of this room: a flow as a tree of nodes, its program, and a session of it that
// keeps its rows and messages in memory, as a store would.
#pragma once

#include <string>
#include <vector>

#include "flow/prompt.h"
#include "flow/replay.h"

namespace tertulia::flow::test {

// A condition of the tests, so that the oracle need not share Condition's evaluation.
struct Question {
  enum class Kind { never, always, said, rounds_at_least, variable_is, judge };
  Kind kind = Kind::never;
  std::string text;         // said: the last message holds it; variable_is: the variable's name;
                            // judge: the role that is asked
  std::int64_t number = 0;  // rounds_at_least; variable_is: its value
};

struct Node {
  std::string kind;  // speak, ask, loop, if, set, end, discuss, parallel, call
  std::string name;
  std::string role;         // speak, ask
  std::int64_t number = 0;  // loop: max; set: the value of the variable `name`d by role
  std::optional<Question> until;
  std::optional<Question> while_;  // if: its condition
  std::string fallback;            // ask
  std::vector<Node> body;          // loop, call; if: then
  std::vector<Node> otherwise;
  std::vector<std::vector<Node>> branches;  // parallel; one with `each`
  std::vector<std::string> roles;           // discuss: among; parallel: each
  std::string moderator;                    // discuss: the order is the moderator's
  Discuss::Order order = Discuss::Order::fixed;
  std::string jump_to;  // goto, by name
  std::int64_t jump_max = 0;
  std::optional<Question> jump_when;
};

Node speak(std::string role, std::string name = {});
// `fallback`: what is said for a person who does not answer in time.
Node ask(std::string role, std::string fallback = {});
Node loop(std::int64_t max, std::vector<Node> body);
Node loop_until(std::int64_t max, Question question, std::vector<Node> body);
Node loop_while(std::int64_t max, Question question, std::vector<Node> body);
Node if_(Question question, std::vector<Node> then, std::vector<Node> otherwise = {});
Node set(std::string variable, std::int64_t value);
Node end();
Node discuss(std::int64_t max, std::vector<std::string> among,
             Discuss::Order order = Discuss::Order::fixed);
Node parallel(std::vector<std::vector<Node>> branches);
// In the body, the role is "each".
Node parallel_each(std::vector<std::string> roles, std::vector<Node> body);
Node call(std::vector<Node> body);
Question judge(std::string role);
Node jumping(Node node, std::string to, std::int64_t max, std::optional<Question> when = {});
Question said(std::string text);

[[nodiscard]] Program program_of(const std::vector<Node>& steps);

class TestSession final : public Record, public History {
 public:
  explicit TestSession(Program program);

  // Applies the event and keeps what follows from it; an error that the machine gave.
  base::Result<void> apply(const Event& event);
  // The same; a test failure if the machine refuses it.
  void must(const Event& event);
  void start(std::optional<Limits> limits = {});
  void answer(std::string text, std::int64_t duration_ms = 0, std::int64_t order = 0);
  // The same of a judge, or of a moderator.
  void judge(bool answer, std::int64_t order = 0);
  void choose(std::string next, std::int64_t order = 0);
  // Answers with these words until the session stops, at most so often.
  void answer_all(std::string text, int at_most = 1000);

  [[nodiscard]] const State& state() const { return state_; }
  [[nodiscard]] const Program& program() const { return program_; }
  [[nodiscard]] const std::vector<Effect>& effects() const { return effects_; }
  [[nodiscard]] const std::vector<model::StepExecutionLog>& rows() const { return rows_; }
  [[nodiscard]] const std::vector<Said>& messages() const { return messages_; }
  // Who spoke, in order: "A B A".
  [[nodiscard]] std::string speakers() const;
  // "order path parent round.iteration status result condition check" of every row, a dash for what
  // is not there.
  [[nodiscard]] std::vector<std::string> log() const;
  // The rows without their order, which depends on which branch was faster: each with the rows
  // around it, sorted.
  [[nodiscard]] std::vector<std::string> shape() const;
  // The process ends and another goes on: the state is written and read back.
  void restart();
  // What the effects of the last event were: "close say open:closed open ask".
  [[nodiscard]] std::string effect_names() const;
  // Where the session stands: "paused limit_steps".
  [[nodiscard]] std::string standing() const;
  [[nodiscard]] ReplayInput replay_input() const;
  // What replay finds wrong; empty if the log explains the session.
  [[nodiscard]] std::vector<std::string> disagreements() const;

  [[nodiscard]] std::optional<std::string_view> message(std::int64_t key) const override;
  [[nodiscard]] const json::value* output(std::int64_t order) const override;
  [[nodiscard]] std::string_view topic() const override { return "the topic"; }
  [[nodiscard]] std::uint64_t seed() const override { return 7; }
  [[nodiscard]] base::Result<const Said*> at(std::int64_t key) const override;
  // How many messages prompts have read so far.
  [[nodiscard]] std::int64_t reads() const { return reads_; }

 private:
  void keep(const OpenRow& row);
  void keep(const CloseRow& row);
  void keep(const ChangeRow& row);
  void keep(const Say& said);
  void keep(const PlaceSaid& placed);
  void keep(const Ask&) {}
  void keep(const Stop&) {}
  void close(model::StepExecutionLog& row, const Closing& closing);

  Program program_;
  State state_;
  std::vector<Effect> effects_;
  std::vector<model::StepExecutionLog> rows_;
  std::vector<Said> messages_;
  std::map<std::int64_t, json::value> outputs_;
  mutable std::int64_t reads_ = 0;
};

// The parts of a row, as TestSession::shape writes them.
[[nodiscard]] std::string shape_label(std::string_view path, std::int64_t round,
                                      std::int64_t iteration, std::int64_t branch);
[[nodiscard]] std::string shape_outcome(model::StepStatus status,
                                        std::optional<model::ResultType> result,
                                        std::optional<bool> condition, std::optional<bool> check);
// The text of a row, as TestSession::log writes it.
[[nodiscard]] std::string log_line(std::int64_t order, std::string_view path,
                                   std::optional<std::int64_t> parent_order, std::int64_t round,
                                   std::int64_t iteration, model::StepStatus status,
                                   std::optional<model::ResultType> result,
                                   std::optional<bool> condition, std::optional<bool> check);

}  // namespace tertulia::flow::test
