// State is where a session stands in its program: small, stored with the session in every commit,
// and rebuilt from the log by replay. A value; its text depends on the flow's size, not on how
// long the session is.
//
// A session is one line of steps; inside `parallel` it is several. A Strand is such a line: the
// session's own (State itself is that strand), or a branch of a block in another strand, which
// waits until its branches are done. What a branch changes (variables, outputs, documents, who has
// spoken) is its own until the join.
//
// Messages inside a branch have no position yet: readers get them at the join, in branch order. A
// strand counts on from the fork in positions of its own; `key_of` turns them into what the record
// knows: a position, or minus the order of the row that said it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "flow/limits.h"
#include "model/status.h"

namespace tertulia::flow {

namespace json = boost::json;

// What one performance of a flow's steps sees: the session's flow, or one that it calls.
struct Scope {
  // Where a role has spoken; where a document's latest version stands.
  struct Spoken {
    std::int64_t count = 0;
    std::int64_t last = 0;  // position in the strand
  };
  struct Version {
    std::int64_t number = 0;
    std::int64_t position = 0;
  };

  std::map<std::string, json::value, std::less<>> variables;
  std::map<std::string, std::int64_t, std::less<>> outputs;  // step name -> order of its latest
  std::map<std::string, Spoken, std::less<>> spoken;         // by role reference
  std::map<std::string, Version, std::less<>> documents;
  std::int64_t first = 1;            // the position of the first message that it sees
  std::int64_t last_said = 0;        // the position of its latest message (not of a flow it called)
  std::optional<std::string> topic;  // of a called flow; absent: the session's
  std::string prefix;                // of its roles' references; empty: the session's own flow
};

struct Strand : Scope {
  // A block that is under way in this strand.
  struct Frame {
    enum class Kind { loop, discuss, parallel, call };
    int block = 0;
    std::int64_t iteration = 0;  // of a loop; the turn of a discuss
    std::int64_t order = 0;      // of the block's own row
    Kind kind = Kind::loop;
    int chosen = -1;            // discuss: who has the turn, by place in `among`
    std::vector<Scope> caller;  // call: the one scope to which it returns
  };
  // A row that stays open while a model is asked or a person waited for.
  struct Open {
    std::int64_t order = 0;
    int instruction = 0;
    std::int64_t visit = 0;    // how many times this step has been opened, from 1
    std::int64_t attempt = 1;  // attempt_count of the row
    model::StepStatus status = model::StepStatus::running;
    std::int64_t ordinal = 0;  // how many such rows were opened up to it: what limits.steps counts
    std::string role;          // who speaks, where the step does not say (a turn, `each`)
    // Pending because of a limit; of a branch's failed row, why its session is to pause.
    std::optional<model::StopReason> reason;
    std::string error;       // of a branch's failed row
    json::array judgements;  // of a row that asks judges: {role, answer, reason} of each so far

    // Inputs that no row holds while it is open: replay takes them as given.
    std::int64_t failures = 0;  // attempts that count against retry.attempts, since the last
                                // `Retry` or change of profile
    std::int64_t profile = 0;   // which of the step's profiles is asked: 0 the first, then fallback
    std::string part;           // what a model cut short for length has said so far
    std::int64_t parts = 0;
    std::string wrong;  // an answer that did not fit the output's schema, to go back once
    std::string wrong_why;
    Spent spent;
  };

  std::vector<Frame> frames;  // outermost first
  std::optional<Open> open;
  std::int64_t round_start = 1;           // the position of the round's first message
  std::int64_t previous_round_start = 1;  // ... of the round before
  std::int64_t last_position = 0;         // the messages said so far
  std::int64_t elapsed_ms = 0;            // the duration_ms of model steps that were answered
  std::map<int, std::int64_t> visits;     // of steps that ask a model, by instruction
  std::map<int, std::int64_t> jumps;      // taken gotos, by instruction

  // ---- of a branch
  int number = 0;                    // from 1; 0: the session's own strand
  std::string each_role;             // the role that `each` stands for
  bool done = false;                 // it waits for the others
  std::int64_t base = 0;             // the messages that have positions: those before the fork
  std::vector<std::int64_t> said;    // the rows that said the others, by position after base
  std::int64_t block_order = 0;      // of the parallel's row
  std::int64_t block_iteration = 0;  // of the loop around the block
  std::string way;                   // the iterations and branches around it: see execution_path

  std::vector<Strand> branches;  // of the innermost frame, where that is parallel

  // The innermost loop's iteration; 0 outside loops.
  [[nodiscard]] std::int64_t iteration() const;
  // What a Record and a History know a message of this strand by.
  [[nodiscard]] std::int64_t key_of(std::int64_t position) const;
  // This strand and all in it, in branch order.
  template <class Visit>
  void each_strand(const Visit& visit) {
    visit(*this);
    for (Strand& branch : branches) branch.each_strand(visit);
  }
  template <class Visit>
  void each_strand(const Visit& visit) const {
    visit(*this);
    for (const Strand& branch : branches) branch.each_strand(visit);
  }
};

struct State : Strand {
  using Spoken = Scope::Spoken;
  using Version = Scope::Version;

  model::SessionStatus status = model::SessionStatus::not_started;
  std::optional<model::StopReason> stop_reason;
  std::string stop_text;  // for people: the `end` step's reason, the failure

  std::int64_t round = 1;
  std::int64_t last_order = 0;   // the rows opened so far
  std::int64_t steps_used = 0;   // rows that called a model or a person
  std::int64_t commit_seq = 0;   // rows inside parallel blocks that were closed so far
  Spent spent;                   // by rows that are closed
  std::int64_t counts_from = 1;  // the order of the first row that `spent` counts
  std::map<std::string, RoleSpent, std::less<>> roles_spent;  // of roles with limits of their own
  std::set<std::string, std::less<>> played;  // the roles that a person plays: an input
  std::optional<int> resume_at;  // sessions of 0.1.0-pre.1: the step that a limit kept from opening
  Limits limits;                 // the flow's, or as a person raised them: an input

  // JSON, its members always in the same order, so two states are equal if their texts are.
  [[nodiscard]] std::string to_text() const;
  // Invalid where the text is not what to_text writes.
  [[nodiscard]] static base::Result<State> from_text(std::string_view text);

  // The strand whose open row has this order; null where there is none.
  [[nodiscard]] const Strand* strand_of(std::int64_t order) const;
  [[nodiscard]] Strand* strand_of(std::int64_t order);
  // All strands with an open row, in branch order.
  [[nodiscard]] std::vector<const Strand*> open_strands() const;
};

// The rows whose outputs a strand of the state can still refer to.
[[nodiscard]] std::set<std::int64_t> outputs_in_use(const State& state);

}  // namespace tertulia::flow
