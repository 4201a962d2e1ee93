// Random flows, performed by the machine and by an interpreter that walks their trees and shares no
// code with compiler or machine, must write the same log and say the same. And the law of replay:
// after every event, whatever it was, the log so far gives the state so far.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "flow/test_session.h"

namespace tertulia::flow::test {
namespace {

constexpr std::int64_t kMostSteps = 60;

// ---- random trees ------------------------------------------------------------------------------

class Grower final {
 public:
  explicit Grower(std::uint64_t seed) : random_(seed, "tree") {}

  std::vector<Node> grow() {
    auto nodes = sequence(0, {});
    return nodes.empty() ? std::vector<Node>{speak("a")} : nodes;
  }

 private:
  std::uint64_t below(std::uint64_t bound) { return random_.below(bound); }

  Question question() {
    switch (below(6)) {
      case 0:
        return {.kind = Question::Kind::never, .text = {}, .number = 0};
      case 1:
        return {.kind = Question::Kind::always, .text = {}, .number = 0};
      case 2:
        return {.kind = Question::Kind::rounds_at_least,
                .text = {},
                .number = static_cast<std::int64_t>(below(5)) + 1};
      case 3:
        return {.kind = Question::Kind::variable_is,
                .text = "v",
                .number = static_cast<std::int64_t>(below(2))};
      default:
        return said("yes");
    }
  }

  // `above`: the names of earlier and enclosing steps that a goto may lead to.
  std::vector<Node> sequence(int depth, std::vector<std::string> above) {
    std::vector<Node> nodes;
    const std::uint64_t count = below(4) + (depth == 0 ? 1 : 0);
    std::vector<std::string> ahead;
    for (std::uint64_t i = 0; i < count; ++i) ahead.push_back(fmt::format("n{}", ++names_));
    for (std::uint64_t i = 0; i < count; ++i) {
      std::vector<std::string> targets = above;
      targets.insert(targets.end(), ahead.begin(), ahead.end());
      nodes.push_back(node(depth, targets));
      nodes.back().name = ahead[i];
      if (below(5) == 0 && nodes.back().kind != "end") {
        nodes.back().jump_to = targets[below(targets.size())];
        nodes.back().jump_max = static_cast<std::int64_t>(below(3));
        if (below(2) == 0) nodes.back().jump_when = question();
      }
    }
    return nodes;
  }

  Node node(int depth, const std::vector<std::string>& targets) {
    const auto max = static_cast<std::int64_t>(below(3)) + 1;
    switch (depth < 3 ? below(10) : 9) {
      case 0:
        return loop(max, sequence(depth + 1, targets));
      case 1:
        return loop_until(max, question(), sequence(depth + 1, targets));
      case 2:
        return loop_while(max, question(), sequence(depth + 1, targets));
      case 3: {
        auto then = sequence(depth + 1, targets);
        return if_(question(), std::move(then), sequence(depth + 1, targets));
      }
      case 4:
        return set("v", static_cast<std::int64_t>(below(2)));
      case 5:
        return below(4) == 0 ? end() : speak("a");
      case 6:
        return ask("p", below(2) == 0 ? "yes" : "");
      default:
        return speak(std::string(1, static_cast<char>('a' + below(3))));
    }
  }

  base::Random random_;
  int names_ = 0;
};

std::string answer_at(std::uint64_t seed, std::int64_t position) {
  return base::Random(seed, fmt::format("answer/{}", position)).below(3) == 0 ? "yes" : "no";
}

// ---- the naive interpreter ---------------------------------------------------------------------

class Oracle final {
 public:
  explicit Oracle(std::uint64_t seed) : seed_(seed) {}

  void run(const std::vector<Node>& steps) {
    const Way way = sequence(steps, "");
    if (way.kind != Way::Kind::limit)
      close_running(model::StepStatus::completed, model::ResultType::loop_entry);
    standing = way.kind == Way::Kind::limit ? "paused limit_steps"
               : way.kind == Way::Kind::end ? "finished end_step"
                                            : "finished end_of_flow";
  }

  [[nodiscard]] std::vector<std::string> log() const {
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const Row& row = rows_[i];
      lines.push_back(log_line(static_cast<std::int64_t>(i) + 1, row.path, row.parent, row.round,
                               row.iteration, row.status, row.result, row.condition, row.check));
    }
    return lines;
  }

  std::string standing;
  std::string speakers;

 private:
  struct Row {
    std::string path;
    std::optional<std::int64_t> parent;
    std::int64_t round = 1;
    std::int64_t iteration = 0;
    model::StepStatus status = model::StepStatus::completed;
    std::optional<model::ResultType> result;
    std::optional<bool> condition;
    std::optional<bool> check;
  };
  // How a block was left.
  struct Way {
    enum class Kind { through, jump, end, limit };
    Kind kind = Kind::through;
    std::string target;
  };
  struct Block {
    std::int64_t order = 0;
    std::int64_t iteration = 0;
  };

  Way sequence(const std::vector<Node>& nodes, const std::string& prefix) {
    std::size_t i = 0;
    while (i < nodes.size()) {
      Way way = step(nodes[i], prefix + std::to_string(i + 1));
      if (way.kind == Way::Kind::through) {
        ++i;
        continue;
      }
      if (way.kind != Way::Kind::jump) return way;
      std::size_t target = 0;
      while (target < nodes.size() && nodes[target].name != way.target) ++target;
      if (target == nodes.size()) return way;  // in an enclosing sequence
      if (blocks_.empty() && target <= i) ++round_;
      i = target;
    }
    return {};
  }

  Way step(const Node& node, const std::string& path) {
    if (node.kind == "speak" || node.kind == "ask") return speak_step(node, path);
    if (node.kind == "loop") return loop_step(node, path);
    if (node.kind == "set") {
      variables_[node.role] = node.number;
      open(path).result = model::ResultType::success;
      return jump(node, rows_.size());
    }
    if (node.kind == "end") {
      open(path).result = model::ResultType::success;
      return {.kind = Way::Kind::end, .target = {}};
    }
    const bool yes = true_(*node.while_);
    Row& row = open(path);
    row.condition = yes;
    row.result = yes ? model::ResultType::condition_true : model::ResultType::condition_false;
    if (Way way = jump(node, rows_.size()); way.kind == Way::Kind::jump) return way;
    return yes ? sequence(node.body, path + ".then.") : sequence(node.otherwise, path + ".else.");
  }

  Way speak_step(const Node& node, const std::string& path) {
    if (spoken_ == kMostSteps) return {.kind = Way::Kind::limit, .target = {}};
    open(path).result = model::ResultType::success;
    ++spoken_;
    speakers += (speakers.empty() ? "" : " ") + node.role;
    last_ = answer_at(seed_, spoken_);
    return jump(node, rows_.size());
  }

  Way loop_step(const Node& node, const std::string& path) {
    Row& row = open(path);
    row.status = model::StepStatus::running;
    const std::size_t own = rows_.size();
    blocks_.push_back({.order = static_cast<std::int64_t>(own), .iteration = 0});
    for (std::int64_t done = 0;; ++done) {
      if (node.while_ || done > 0) {
        bool again = done < node.number;
        if (again && node.while_) again = true_(*node.while_);
        if (again && node.until) again = !true_(*node.until);
        Row& check = open(path + ".check");
        if (node.while_) check.iteration = done + 1;
        check.check = again;
        check.result = again ? model::ResultType::loop_continue : model::ResultType::loop_break;
        if (!again) break;
      }
      ++blocks_.back().iteration;
      if (done > 0 && blocks_.size() == 1) ++round_;
      const Way way = sequence(node.body, path + ".loop.");
      if (way.kind == Way::Kind::through) continue;
      if (way.kind == Way::Kind::jump) {
        blocks_.pop_back();
        close(own);
      }
      return way;
    }
    blocks_.pop_back();
    close(own);
    return jump(node, own);
  }

  // Takes the node's goto, which is noted on the row with this number.
  Way jump(const Node& node, std::size_t order) {
    if (node.jump_to.empty() || (node.jump_when && !true_(*node.jump_when))) return {};
    const bool jumps = taken_[&node] < node.jump_max;
    Row& row = rows_[order - 1];
    row.check = jumps;
    if (row.result == model::ResultType::success)
      row.result = jumps ? model::ResultType::loop_continue : model::ResultType::loop_break;
    if (!jumps) return {};
    ++taken_[&node];
    return {.kind = Way::Kind::jump, .target = node.jump_to};
  }

  bool true_(const Question& question) const {
    switch (question.kind) {
      case Question::Kind::never:
        return false;
      case Question::Kind::always:
        return true;
      case Question::Kind::said:
        return last_.find(question.text) != std::string::npos;
      case Question::Kind::rounds_at_least:
        return round_ >= question.number;
      case Question::Kind::variable_is: {
        const auto found = variables_.find(question.text);
        return found != variables_.end() && found->second == question.number;
      }
    }
    return false;
  }

  Row& open(const std::string& path) {
    Row row;
    row.path = path;
    row.round = round_;
    if (!blocks_.empty()) {
      row.parent = blocks_.back().order;
      row.iteration = blocks_.back().iteration;
    }
    return rows_.emplace_back(std::move(row));
  }
  void close(std::size_t order) {
    rows_[order - 1].status = model::StepStatus::completed;
    rows_[order - 1].result = model::ResultType::loop_entry;
  }
  void close_running(model::StepStatus status, model::ResultType result) {
    for (Row& row : rows_)
      if (row.status == model::StepStatus::running) {
        row.status = status;
        row.result = result;
      }
  }

  std::uint64_t seed_;
  std::vector<Row> rows_;
  std::vector<Block> blocks_;
  std::map<std::string, std::int64_t> variables_;
  std::map<const Node*, std::int64_t> taken_;
  std::string last_;
  std::int64_t round_ = 1;
  std::int64_t spoken_ = 0;
};

Limits most_steps() {
  Limits limits;
  limits.steps = kMostSteps;
  limits.rounds = 1'000'000;
  return limits;
}

TEST(MachineProperty, AgreesWithANaiveInterpreterOnRandomFlows) {
  std::size_t rows = 0;
  for (std::uint64_t seed = 1; seed <= 600; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    const std::vector<Node> tree = Grower(seed).grow();
    Oracle oracle(seed);
    oracle.run(tree);
    TestSession session(program_of(tree));
    session.start(most_steps());
    while (session.state().status == model::SessionStatus::running ||
           session.state().status == model::SessionStatus::waiting)
      session.answer(answer_at(seed, session.state().last_position + 1));
    ASSERT_EQ(session.log(), oracle.log());
    ASSERT_EQ(session.speakers(), oracle.speakers);
    ASSERT_EQ(session.standing(), oracle.standing);
    ASSERT_EQ(session.disagreements(), std::vector<std::string>{});
    rows += session.rows().size();
  }
  EXPECT_GT(rows, 6'000U) << "the flows are too small to show anything";
}

// One random event that the session's status takes.
Event random_event(base::Random& random, const TestSession& session, std::uint64_t seed) {
  const State& state = session.state();
  if (state.status == model::SessionStatus::not_started) {
    Limits limits = most_steps();
    limits.steps = static_cast<std::int64_t>(random.below(12));
    return Start{.variables = {}, .limits = limits};
  }
  if (state.status == model::SessionStatus::paused) {
    if (random.below(12) == 0) return Cancel{};
    if (state.open && random.below(4) == 0) return Skip{};
    Resume resume;
    if (random.below(2) == 0) {
      resume.limits = most_steps();
      resume.limits->steps = state.steps_used + static_cast<std::int64_t>(random.below(8));
      resume.limits->finish = random.below(8) == 0;
    }
    return resume;
  }
  if (state.status == model::SessionStatus::waiting) {
    switch (random.below(6)) {
      case 0:
        return StepTimedOut{.duration_ms = 60'000};
      case 1:
        return Skip{};
      case 2:
        return random.below(3) == 0 ? Event(Cancel{}) : Event(Skip{});
      default:
        return Answered{.text = answer_at(seed, state.last_position + 1),
                        .output = {},
                        .duration_ms = 86'400'000,
                        .data = {}};
    }
  }
  switch (random.below(14)) {
    case 0:
      return AttemptFailed{.message = "broken", .again = true};
    case 1:
      return AttemptFailed{.message = "no key",
                           .again = false,
                           .reason = model::StopReason::model_unavailable,
                           .duration_ms = 7};
    case 2:
      return StepTimedOut{.duration_ms = 300'000};
    case 3:
      return Interrupted{};
    case 4:
      return random.below(3) == 0 ? Event(Skip{}) : Event(Interrupted{});
    case 5:
      return Pause{.reason = model::StopReason::asked, .text = "coffee"};
    case 6:
      return random.below(8) == 0 ? Event(Cancel{}) : Event(Interrupted{});
    default: {
      Answered answered;
      answered.text = answer_at(seed, state.last_position + 1);
      answered.duration_ms = static_cast<std::int64_t>(random.below(1000));
      if (random.below(3) == 0) answered.output = json::value(state.last_position);
      return answered;
    }
  }
}

bool is_over(model::SessionStatus status) {
  return status == model::SessionStatus::finished || status == model::SessionStatus::failed ||
         status == model::SessionStatus::terminated;
}

TEST(MachineProperty, AfterEveryEventTheLogGivesTheState) {
  std::map<std::string, int> stood;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    TestSession session(program_of(Grower(seed).grow()));
    base::Random random(seed, "events");
    ASSERT_EQ(session.disagreements(), std::vector<std::string>{});
    for (int i = 0; i < 60 && !is_over(session.state().status); ++i) {
      const Event event = random_event(random, session, seed);
      SCOPED_TRACE(fmt::format("seed {}, event {} of kind {}", seed, i, event.index()));
      session.must(event);
      ASSERT_EQ(session.disagreements(), std::vector<std::string>{});
      const std::string text = session.state().to_text();
      const auto read = State::from_text(text);
      ASSERT_TRUE(read.ok()) << read.error().message;
      ASSERT_EQ(read->to_text(), text);
      if (is_over(session.state().status)) {
        for (const auto& row : session.rows())
          ASSERT_TRUE(row.status != model::StepStatus::running &&
                      row.status != model::StepStatus::waiting &&
                      row.status != model::StepStatus::pending)
              << "row " << row.execution_order << " is left open";
      }
    }
    ++stood[session.standing()];
  }
  for (const char* reason : {"finished end_of_flow", "finished end_step", "finished limit_steps",
                             "terminated cancelled"})
    EXPECT_GT(stood[reason], 0) << reason << " never occurred";
}

}  // namespace
}  // namespace tertulia::flow::test
