// What a flow can do, and which of it a rehearsal has come to: its steps, and the ways out of those
// that decide something.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/casting.h"
#include "engine/request.h"
#include "flow/machine.h"

namespace tertulia::engine {

// A step that can be come to (`way` empty), or a way that one can go: an `if` goes "then" or
// "else"; the check of a loop or discuss goes "again", or leaves by its "condition" or "at_max"; a
// `goto` "jumps", "goes_on" where its condition does not hold, or stays "at_max".
struct FlowWay {
  int instruction = 0;  // of the program
  std::string way;

  friend auto operator<=>(const FlowWay&, const FlowWay&) = default;
};

// All ways that the program's text has, in its order.
[[nodiscard]] std::vector<FlowWay> ways_of(const flow::Program& program);

// Notes the ways of one session's rows. The program outlives it.
class WayNotes final {
 public:
  explicit WayNotes(const flow::Program& program) : program_(program) {}
  void note(const flow::Effect& effect);
  [[nodiscard]] const std::set<FlowWay>& taken() const { return taken_; }

 private:
  void note_closing(int instruction, const flow::Closing& closing);

  const flow::Program& program_;
  std::map<std::int64_t, int> open_;  // by order
  std::set<FlowWay> taken_;
};

struct FlowCoverage {
  std::vector<FlowWay> reached;
  std::vector<FlowWay> unreached;
  int sessions = 0;
  bool is_cut_short = false;  // a session was given up after kMostDrySteps, or there were too many
};

// Rehearses the flow again and again, and forces the outcomes of its conditions, until each way is
// taken that forcing comes to: breadth first, from the session as it goes by itself. What is left
// cannot be reached, whatever the conditions say. A forced outcome holds for all of its session,
// and judges are not asked where it is forced.
[[nodiscard]] base::Result<FlowCoverage> cover_flow(const CastingCall& call,
                                                    const ProfileSource& profiles,
                                                    const RoleSource& roles,
                                                    const ProviderSource& providers);

}  // namespace tertulia::engine
