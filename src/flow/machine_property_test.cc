// Random flows of all step kinds, nested, performed by the machine with answers that come in random
// order, interruptions and restarts, and by an interpreter that walks their trees one branch after
// the other and shares no code with compiler or machine, must write the same log, say the same and
// leave the same variables. And the law of replay: after every event, whatever it was, the log so
// far gives the state so far.
//
// TERTULIA_CASES says how many flows are tried: some hundreds here, script/soak tries ten thousand.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "base/random.h"
#include "flow/test_session.h"

namespace tertulia::flow::test {
namespace {

// The flows of which branches run at the same time are performed to their end: what a limit would
// stop depends on which branch was faster.
constexpr std::int64_t kMostSteps = 60;

std::uint64_t cases(std::uint64_t otherwise) {
  const char* wanted = std::getenv("TERTULIA_CASES");
  return wanted == nullptr ? otherwise : std::strtoull(wanted, nullptr, 10);
}

// What the outside says at an execution: a function of its path, not of when it was asked.
std::string answer_at(std::uint64_t seed, std::string_view path) {
  return base::Random(seed, fmt::format("answer/{}", path)).below(3) == 0 ? "yes" : "no";
}
bool judgement_at(std::uint64_t seed, std::string_view path) {
  return base::Random(seed, fmt::format("judge/{}", path)).below(2) == 0;
}
std::string choice_at(std::uint64_t seed, std::string_view path) {
  const auto which = base::Random(seed, fmt::format("choice/{}", path)).below(4);
  return which == 3 ? "nobody" : std::string(1, static_cast<char>('a' + which));
}

// ---- random trees ------------------------------------------------------------------------------

class Grower final {
 public:
  // `ends_anywhere`: an `end` may stand inside a branch, where what it cuts short depends on which
  // branch was faster.
  Grower(std::uint64_t seed, bool ends_anywhere)
      : random_(seed, "tree"), ends_anywhere_(ends_anywhere) {}

  std::vector<Node> grow() {
    auto nodes = sequence(0, {});
    return nodes.empty() ? std::vector<Node>{speak("a")} : nodes;
  }

 private:
  std::uint64_t below(std::uint64_t bound) { return random_.below(bound); }

  Question question(bool may_judge = true) {
    if (may_judge && below(5) == 0) return judge("j");
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
        if (below(2) == 0) nodes.back().jump_when = question(false);
      }
    }
    return nodes;
  }

  Node node(int depth, const std::vector<std::string>& targets) {
    const auto max = static_cast<std::int64_t>(below(3)) + 1;
    switch (depth < 3 ? below(14) : 13) {
      case 10:
        return blocks(depth);
      case 11: {
        Node turns = discuss(max + 1, {"a", "b", "c"}, static_cast<Discuss::Order>(below(4)));
        if (below(2) == 0) turns.until = question();
        return turns;
      }
      case 12:
        // What is called has gotos of its own.
        return call(sequence(depth + 1, {}));
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
        return below(4) == 0 && (branches_ == 0 || ends_anywhere_) ? end() : speak("a");
      case 6:
        return ask("p", below(2) == 0 ? "yes" : "");
      case 13:
        if (each_ > 0) return speak("each");
        [[fallthrough]];
      default:
        return speak(std::string(1, static_cast<char>('a' + below(3))));
    }
  }

  Node blocks(int depth) {
    ++branches_;
    Node made;
    if (below(2) == 0) {
      ++each_;
      made = parallel_each({"a", "b"}, sequence(depth + 1, {}));
      --each_;
    } else {
      std::vector<std::vector<Node>> branches;
      for (std::uint64_t i = below(2) + 2; i > 0; --i) branches.push_back(sequence(depth + 1, {}));
      made = parallel(std::move(branches));
    }
    --branches_;
    return made;
  }

  base::Random random_;
  bool ends_anywhere_;
  int names_ = 0;
  int branches_ = 0;  // around the step
  int each_ = 0;
};

// ---- the naive interpreter ---------------------------------------------------------------------

// Walks the tree, and performs branches one after the other.
class Oracle final {
 public:
  // `limited`: the session has a limit of kMostSteps.
  Oracle(std::uint64_t seed, bool limited) : seed_(seed), limited_(limited) {}

  void run(const std::vector<Node>& steps) {
    const Way way = sequence(steps, "");
    if (way.kind != Way::Kind::limit) close_running();
    standing = way.kind == Way::Kind::limit ? "paused limit_steps"
               : way.kind == Way::Kind::end ? "finished end_step"
                                            : "finished end_of_flow";
  }

  [[nodiscard]] std::vector<std::string> shape() const {
    std::vector<std::string> labels, lines;
    for (const Row& row : rows_) {
      std::string label;
      if (row.parent) label = labels[*row.parent - 1] + " > ";
      label += shape_label(row.path, row.round, row.iteration, row.branch);
      labels.push_back(label);
      lines.push_back(label + shape_outcome(row.status, row.result, row.condition, row.check));
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  }
  [[nodiscard]] const std::map<std::string, std::int64_t>& variables() const {
    return line_.variables;
  }

  std::string standing;
  std::string speakers;

 private:
  struct Row {
    std::string path;
    std::optional<std::size_t> parent;  // its number
    std::int64_t round = 1;
    std::int64_t iteration = 0;
    std::int64_t branch = 0;
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
    std::size_t order = 0;
    std::int64_t iteration = 0;
    bool is_loop = true;
    bool counts = true;  // its iterations are part of paths
  };
  // One line of steps: the session's, or a branch's.
  struct Line {
    std::vector<Block> blocks;
    std::map<std::string, std::int64_t> variables;
    std::map<const Node*, std::int64_t> taken;
    std::map<std::string, std::int64_t> visits;
    std::string last;
    std::int64_t said = 0;  // in the line itself, not in what it called
    std::string way;
    std::string each;
    std::int64_t branch = 0;
    std::optional<std::size_t> parent;
    std::int64_t iteration = 0;
    int calls = 0;
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
      if (line_.blocks.empty() && line_.branch == 0 && line_.calls == 0 && target <= i) ++round_;
      i = target;
    }
    return {};
  }

  Way step(const Node& node, const std::string& path) {
    if (node.kind == "speak" || node.kind == "ask") return speak_step(node, path);
    if (node.kind == "loop") return loop_step(node, path);
    if (node.kind == "discuss") return discuss_step(node, path);
    if (node.kind == "parallel") return parallel_step(node, path);
    if (node.kind == "call") return call_step(node, path);
    if (node.kind == "set") {
      line_.variables[node.role] = node.number;
      open(path).result = model::ResultType::success;
      return jump(node, rows_.size());
    }
    if (node.kind == "end") {
      open(path).result = model::ResultType::success;
      return {.kind = Way::Kind::end, .target = {}};
    }
    const auto asked = decide(*node.while_, path);
    if (!asked) return {.kind = Way::Kind::limit, .target = {}};
    Row& row = open(path);
    row.condition = *asked;
    row.result = *asked ? model::ResultType::condition_true : model::ResultType::condition_false;
    if (Way way = jump(node, rows_.size()); way.kind == Way::Kind::jump) return way;
    return *asked ? sequence(node.body, path + ".then.")
                  : sequence(node.otherwise, path + ".else.");
  }

  // A step that asks somebody, whose answer is known by where it stands; nothing at the limit.
  std::optional<std::string> ask_at(const std::string& path) {
    if (asked_ == kMostSteps && limited_) {
      Row& held = open(path);
      held.status = model::StepStatus::pending;
      return {};
    }
    ++asked_;
    const std::string way = way_now();
    return path + (way.empty() ? "" : "#" + way) + "/" + std::to_string(++line_.visits[path]);
  }
  std::string way_now() const {
    std::string way = line_.way;
    for (const Block& block : line_.blocks)
      if (block.counts) way += (way.empty() ? "" : ".") + std::to_string(block.iteration);
    return way;
  }

  Way speak_step(const Node& node, const std::string& path) {
    const auto at = ask_at(path);
    if (!at) return {.kind = Way::Kind::limit, .target = {}};
    open(path).result = model::ResultType::success;
    say(node.role == "each" ? line_.each : node.role, answer_at(seed_, *at));
    return jump(node, rows_.size());
  }

  void say(const std::string& role, std::string words) {
    speakers += (speakers.empty() ? "" : " ") + role;
    line_.last = std::move(words);
    ++line_.said;
  }

  Way loop_step(const Node& node, const std::string& path) {
    Row& row = open(path);
    row.status = model::StepStatus::running;
    const std::size_t own = rows_.size();
    line_.blocks.push_back({.order = own});
    for (std::int64_t done = 0;; ++done) {
      if (node.while_ || done > 0) {
        bool again = done < node.number;
        const auto& question = node.while_ ? node.while_ : node.until;
        // A check before an iteration is the next one's.
        const std::int64_t iteration = node.while_ ? done + 1 : done;
        if (again && question) {
          const auto held = decide(*question, path + ".check", iteration);
          if (!held) return {.kind = Way::Kind::limit, .target = {}};
          again = node.while_ ? *held : !*held;
        }
        Row& check = open(path + ".check");
        check.iteration = iteration;
        check.check = again;
        check.result = again ? model::ResultType::loop_continue : model::ResultType::loop_break;
        if (!again) break;
      }
      ++line_.blocks.back().iteration;
      if (done > 0 && line_.blocks.size() == 1 && line_.branch == 0 && line_.calls == 0) ++round_;
      const Way way = sequence(node.body, path + ".loop.");
      if (way.kind == Way::Kind::through) continue;
      if (way.kind == Way::Kind::jump) {
        line_.blocks.pop_back();
        close(own, model::ResultType::loop_entry);
      }
      return way;
    }
    line_.blocks.pop_back();
    close(own, model::ResultType::loop_entry);
    return jump(node, own);
  }

  Way discuss_step(const Node& node, const std::string& path) {
    open(path).status = model::StepStatus::running;
    const std::size_t own = rows_.size();
    line_.blocks.push_back({.order = own, .iteration = 0, .is_loop = false});
    const auto count = static_cast<std::int64_t>(node.roles.size());
    std::int64_t who = -1;
    for (std::int64_t turn = 0; turn < node.number; ++turn) {
      ++line_.blocks.back().iteration;
      if (node.order == Discuss::Order::moderator) {
        const auto at = ask_at(path + ".choice");
        if (!at) return {.kind = Way::Kind::limit, .target = {}};
        open(path + ".choice").result = model::ResultType::success;
        const std::string chosen = choice_at(seed_, *at);
        std::int64_t found = -1;
        for (std::int64_t i = 0; i < count; ++i)
          if (node.roles[static_cast<std::size_t>(i)] == chosen) found = i;
        who = found >= 0 ? found : (who + 1) % count;
      } else if (node.order == Discuss::Order::random) {
        // Documented: drawn from the session's seed (7) and the path; never twice in a row.
        base::Random random(7, fmt::format("{}#{}/turn", path, way_now()));
        std::int64_t next = 0;
        if (who < 0) {
          next = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(count)));
        } else {
          next = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(count) - 1));
          if (next >= who) ++next;
        }
        who = next;
      } else if (node.order == Discuss::Order::round_robin) {
        who = (turn % count + turn / count) % count;
      } else {
        who = turn % count;
      }
      const auto at = ask_at(path + ".turn");
      if (!at) return {.kind = Way::Kind::limit, .target = {}};
      open(path + ".turn").result = model::ResultType::success;
      say(node.roles[static_cast<std::size_t>(who)], answer_at(seed_, *at));
      if (!node.until) continue;
      bool again = turn + 1 < node.number;
      if (again) {
        const auto held = decide(*node.until, path + ".check");
        if (!held) return {.kind = Way::Kind::limit, .target = {}};
        again = !*held;
      }
      Row& check = open(path + ".check");
      check.check = again;
      check.result = again ? model::ResultType::loop_continue : model::ResultType::loop_break;
      if (!again) break;
    }
    line_.blocks.pop_back();
    close(own, model::ResultType::success);
    return jump(node, own);
  }

  Way parallel_step(const Node& node, const std::string& path) {
    open(path).status = model::StepStatus::running;
    const std::size_t own = rows_.size();
    const Line before = line_;
    Line joined = before;
    const std::size_t count = node.roles.empty() ? node.branches.size() : node.roles.size();
    const std::string way = way_now();
    for (std::size_t i = 0; i < count; ++i) {
      line_ = before;
      line_.blocks.clear();
      line_.parent = own;
      line_.iteration = iteration_of(before);
      line_.branch = static_cast<std::int64_t>(i) + 1;
      line_.way = fmt::format("{}{}b{}", way, way.empty() ? "" : ".", i + 1);
      if (!node.roles.empty()) line_.each = node.roles[i];
      const std::size_t which = node.roles.empty() ? i : 0;
      static_cast<void>(
          sequence(node.branches[which], fmt::format("{}.parallel.{}.", path, which + 1)));
      for (const auto& [name, value] : line_.variables)
        if (!before.variables.contains(name) || before.variables.at(name) != value)
          joined.variables[name] = value;
      for (const auto& [taken, times] : line_.taken)
        joined.taken[taken] += times - (before.taken.contains(taken) ? before.taken.at(taken) : 0);
      for (const auto& [visited, times] : line_.visits)
        joined.visits[visited] +=
            times - (before.visits.contains(visited) ? before.visits.at(visited) : 0);
      if (line_.said > before.said) joined.last = line_.last;
      joined.said += line_.said - before.said;
    }
    line_ = joined;
    close(own, model::ResultType::success);
    return jump(node, own);
  }
  Way call_step(const Node& node, const std::string& path) {
    open(path).status = model::StepStatus::running;
    const std::size_t own = rows_.size();
    const std::map<std::string, std::int64_t> variables = std::exchange(line_.variables, {});
    const std::string last = std::exchange(line_.last, {});
    const std::int64_t said = line_.said;
    line_.blocks.push_back({.order = own, .iteration = 0, .is_loop = false, .counts = false});
    const std::size_t depth = line_.blocks.size();
    ++line_.calls;
    const Way way = sequence(node.body, path + ".call.");
    --line_.calls;
    if (way.kind == Way::Kind::limit) return way;
    // An `end` leaves the loops that it stands in.
    while (line_.blocks.size() > depth) {
      const Block& block = line_.blocks.back();
      close(block.order,
            block.is_loop ? model::ResultType::loop_entry : model::ResultType::success);
      line_.blocks.pop_back();
    }
    line_.blocks.pop_back();
    line_.variables = variables;
    line_.last = last;
    line_.said = said;
    close(own, model::ResultType::success);
    return jump(node, own);
  }

  // Takes the node's goto, which is noted on the row with this number.
  Way jump(const Node& node, std::size_t order) {
    if (node.jump_to.empty() || (node.jump_when && !true_(*node.jump_when))) return {};
    const bool jumps = line_.taken[&node] < node.jump_max;
    Row& row = rows_[order - 1];
    row.check = jumps;
    if (row.result == model::ResultType::success)
      row.result = jumps ? model::ResultType::loop_continue : model::ResultType::loop_break;
    if (!jumps) return {};
    ++line_.taken[&node];
    return {.kind = Way::Kind::jump, .target = node.jump_to};
  }

  // A condition, of which a judge may be asked; nothing at the limit.
  std::optional<bool> decide(const Question& question, const std::string& path,
                             std::optional<std::int64_t> iteration = {}) {
    if (question.kind != Question::Kind::judge) return true_(question);
    const auto at = ask_at(path);
    if (at) return judgement_at(seed_, *at);
    if (iteration) rows_.back().iteration = *iteration;
    return {};
  }

  bool true_(const Question& question) const {
    switch (question.kind) {
      case Question::Kind::never:
      case Question::Kind::judge:
        return false;
      case Question::Kind::always:
        return true;
      case Question::Kind::said:
        return line_.last.find(question.text) != std::string::npos;
      case Question::Kind::rounds_at_least:
        return round_ >= question.number;
      case Question::Kind::variable_is: {
        const auto found = line_.variables.find(question.text);
        return found != line_.variables.end() && found->second == question.number;
      }
    }
    return false;
  }

  static std::int64_t iteration_of(const Line& line) {
    for (auto block = line.blocks.rbegin(); block != line.blocks.rend(); ++block)
      if (block->is_loop) return block->iteration;
    return line.iteration;
  }
  Row& open(const std::string& path) {
    Row row;
    row.path = path;
    row.round = round_;
    row.branch = line_.branch;
    row.iteration = iteration_of(line_);
    row.parent = line_.blocks.empty() ? line_.parent : std::optional(line_.blocks.back().order);
    return rows_.emplace_back(std::move(row));
  }
  void close(std::size_t order, model::ResultType result) {
    rows_[order - 1].status = model::StepStatus::completed;
    rows_[order - 1].result = result;
  }
  void close_running() {
    for (std::size_t i = 0; i < rows_.size(); ++i)
      if (rows_[i].status == model::StepStatus::running)
        close(i + 1,
              is_loop_row(rows_[i]) ? model::ResultType::loop_entry : model::ResultType::success);
  }
  bool is_loop_row(const Row& row) const {
    const std::size_t own = static_cast<std::size_t>(&row - rows_.data()) + 1;
    for (const Block& block : line_.blocks)
      if (block.order == own) return block.is_loop;
    return false;
  }

  std::uint64_t seed_;
  bool limited_;
  Line line_;
  std::vector<Row> rows_;
  std::int64_t round_ = 1;
  std::int64_t asked_ = 0;
};

Limits most_steps() {
  Limits limits;
  limits.steps = kMostSteps;
  limits.rounds = 1'000'000;
  return limits;
}

bool has_branches(const std::vector<Node>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [](const Node& node) {
    return node.kind == "parallel" || has_branches(node.body) || has_branches(node.otherwise);
  });
}

// What the outside says to one open row.
Event answer_to(const TestSession& session, const Strand& strand, std::uint64_t seed) {
  const auto& step = session.program().steps[static_cast<std::size_t>(strand.open->instruction)];
  const std::string path = execution_path(session.program(), strand);
  Answered answered;
  answered.order = strand.open->order;
  if (step.condition() != nullptr) {
    answered.output = json::object{{"answer", judgement_at(seed, path)}, {"reason", "so"}};
  } else if (std::holds_alternative<Choice>(step.step)) {
    answered.output = json::object{{"next", choice_at(seed, path)}};
  } else {
    answered.text = answer_at(seed, path);
  }
  return answered;
}

const Strand& any_open(base::Random& random, const TestSession& session) {
  std::vector<const Strand*> open;
  for (const Strand* strand : session.state().open_strands())
    if (strand->open->status == model::StepStatus::running ||
        strand->open->status == model::StepStatus::waiting)
      open.push_back(strand);
  return *open.at(random.below(open.size()));
}

bool is_under_way(const TestSession& session) {
  return session.state().status == model::SessionStatus::running ||
         session.state().status == model::SessionStatus::waiting;
}

std::map<std::string, std::int64_t> variables_of(const TestSession& session) {
  std::map<std::string, std::int64_t> variables;
  for (const auto& [name, value] : session.state().variables) variables[name] = value.get_int64();
  return variables;
}

TEST(MachineProperty, AgreesWithANaiveInterpreterOnRandomFlows) {
  std::size_t rows = 0, branched = 0;
  for (std::uint64_t seed = 1; seed <= cases(600); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    const std::vector<Node> tree = Grower(seed, false).grow();
    const bool limited = !has_branches(tree);
    Oracle oracle(seed, limited);
    oracle.run(tree);
    TestSession session(program_of(tree));
    base::Random random(seed, "order");
    Limits limits = most_steps();
    if (!limited) limits.steps = 1'000'000;
    session.start(limits);
    while (is_under_way(session)) {
      const Strand& strand = any_open(random, session);
      const bool is_asked = strand.open->status == model::StepStatus::running;
      const std::int64_t order = strand.open->order;
      switch (random.below(12)) {
        case 0:
          session.restart();
          if (is_asked) session.must(Interrupted{.order = order});
          continue;
        case 1:
          if (session.state().status != model::SessionStatus::running) continue;
          session.must(Pause{});
          session.must(Resume{.limits = {}});
          continue;
        default:
          session.must(answer_to(session, strand, seed));
      }
    }
    ASSERT_EQ(session.shape(), oracle.shape());
    ASSERT_EQ(session.speakers(), oracle.speakers);
    ASSERT_EQ(session.standing(), oracle.standing);
    ASSERT_EQ(variables_of(session), oracle.variables());
    ASSERT_EQ(session.disagreements(), std::vector<std::string>{});
    rows += session.rows().size();
    branched += limited ? 0 : 1;
  }
  EXPECT_GT(rows, 10 * cases(600)) << "the flows are too small to show anything";
  EXPECT_GT(branched, cases(600) / 10) << "too few flows have branches";
}

// One random event that the session's status takes.
Event random_event(base::Random& random, const TestSession& session, std::uint64_t seed) {
  const State& state = session.state();
  if (state.status == model::SessionStatus::not_started) {
    Limits limits = most_steps();
    limits.steps = static_cast<std::int64_t>(random.below(12));
    return Start{.variables = {}, .limits = limits};
  }
  const auto open = state.open_strands();
  if (state.status == model::SessionStatus::paused) {
    if (random.below(12) == 0) return Cancel{};
    if (random.below(4) == 0) return Skip{.order = open.at(random.below(open.size()))->open->order};
    Resume resume;
    if (random.below(2) == 0) {
      resume.limits = most_steps();
      resume.limits->steps = state.steps_used + static_cast<std::int64_t>(random.below(8));
      resume.limits->finish = random.below(8) == 0;
    }
    return resume;
  }
  const Strand& strand = any_open(random, session);
  const std::int64_t order = strand.open->order;
  Event answer = answer_to(session, strand, seed);
  auto& answered = std::get<Answered>(answer);
  if (strand.open->status == model::StepStatus::waiting) {
    switch (random.below(6)) {
      case 0:
        return StepTimedOut{.duration_ms = 60'000, .spent = {}, .order = order};
      case 1:
        return Skip{.order = order};
      case 2:
        return random.below(3) == 0 ? Event(Cancel{}) : Event(Skip{.order = order});
      default:
        answered.duration_ms = 86'400'000;
        return answer;
    }
  }
  const Spent some{.prompt_tokens = static_cast<std::int64_t>(random.below(100)),
                   .completion_tokens = static_cast<std::int64_t>(random.below(100)),
                   .cost_nano = static_cast<std::int64_t>(random.below(1'000'000))};
  AttemptFailed failed;
  failed.message = "broken";
  failed.spent = some;
  failed.order = order;
  switch (random.below(16)) {
    case 0:
      return failed;
    case 1:
      failed.again = false;
      failed.reason = model::StopReason::model_unavailable;
      failed.duration_ms = 7;
      return failed;
    case 2:
      return StepTimedOut{.duration_ms = 300'000, .spent = some, .order = order};
    case 3:
      return Interrupted{.order = order};
    case 4:
      return random.below(3) == 0 ? Event(Skip{.order = order})
                                  : Event(Interrupted{.order = order});
    case 5:
      return Pause{.reason = model::StopReason::asked, .text = "coffee"};
    case 6:
      return random.below(8) == 0 ? Event(Cancel{}) : Event(Interrupted{.order = order});
    case 7:
      return LimitReached{.reason = model::StopReason::limit_cost,
                          .text = "dear",
                          .finish = random.below(6) == 0,
                          .order = order};
    case 8:
      return Continued{.text = "half", .spent = some, .order = order};
    default:
      answered.duration_ms = static_cast<std::int64_t>(random.below(1000));
      answered.spent = some;
      if (!answered.output && random.below(3) == 0)
        answered.output = json::value(state.last_position);
      return answer;
  }
}

bool is_over(model::SessionStatus status) {
  return status == model::SessionStatus::finished || status == model::SessionStatus::failed ||
         status == model::SessionStatus::terminated;
}

TEST(MachineProperty, AfterEveryEventTheLogGivesTheState) {
  std::map<std::string, int> stood;
  for (std::uint64_t seed = 1; seed <= cases(300); ++seed) {
    TestSession session(program_of(Grower(seed, true).grow()));
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
      if (random.below(6) == 0) session.restart();
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
