// Program is a flow in the form in which it is performed: a flat list of instructions, each of
// which is a flow_steps row of its version (order = index + 1). It holds no text of the source but
// what the instructions need. Values; immutable once made; safe to share between threads.
//
//   text -> parse.h -> check.h -> compile.h -> Program -> to_rows -> flow_steps
//                                              Program <- from_rows <- flow_steps
//
// Blocks are links: each instruction knows its `next`. A loop is two instructions,
//   L: loop        enters; goes to its body (until, or no condition) or to its check (while)
//   C: loop_check  stands after the body; goes round again to the body, or on to L's next
// and the body's last instruction has C as its next. So is a discuss,
//   D: discuss     enters, and says whose turn it is
//   H: choice      the moderator is asked whose turn it is (order: moderator)
//   T: speak       a turn: a speak step without a role, which is chosen when it is opened
//   C: loop_check  goes on to the next turn, or to D's next
// A parallel knows the first instruction of each branch; a branch's last has kBranchEnd as its
// next. The steps of a called flow stand behind the caller's own, with paths below the call's
// ("3.call.1"); its last has kEnd as its next, and its roles have the call's id before their
// references ("audit/chair"): a version of the caller holds the version of the called flow that
// was there when it was saved.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "flow/condition.h"
#include "flow/limits.h"
#include "flow/text.h"
#include "model/rows.h"

namespace tertulia::flow {

namespace json = boost::json;

// Which earlier messages a step's speaker is shown: scope first, then from or except, then last,
// then the budget; see docs/flow-reference.md.
struct ContextRule {
  enum class Scope { none, topic, last, this_round, last_round, all };
  Scope scope = Scope::all;
  std::vector<std::string> from;     // only what these said; empty: everyone
  std::vector<std::string> except;   // not what these said
  std::optional<std::int64_t> last;  // the last N of what is left
  std::optional<std::int64_t> max_tokens;
  bool include_topic = true;
  std::vector<std::string> documents;  // names: the latest version of each is shown
  bool anonymous = false;              // speakers are "Speaker A", "Speaker B" ...

  [[nodiscard]] json::value to_json() const;
  [[nodiscard]] static base::Result<ContextRule> from_json(const json::value& value);
};

struct Retry {
  std::int64_t attempts = 3;
  std::int64_t backoff_ms = 1000;
};

struct Speak {
  std::string role;  // empty: a turn of a discuss; kEach: of a branch's role
  std::string to;    // empty: to everyone
  Text task;
  ContextRule context;
  std::optional<json::object> output;  // JSON Schema of a structured output
  std::string document;                // the message is the new version of this document
  std::string model;                   // a profile that overrides the role's; empty: none
  json::object parameters;             // temperature, max_tokens ...: override the role's
  Retry retry;
  std::int64_t timeout_ms = 300'000;  // attempts and back-off included
  std::vector<std::string> fallback;  // profiles to ask when the one before has failed for good
  std::int64_t continues = 0;         // how often a model that stops for length is asked to go on
};
// What stands for the branch's role in the steps of `parallel: {each: [...], do: [...]}`.
inline constexpr std::string_view kEach = "each";

// A step whose role a person plays: the session waits for their words, for days if need be.
struct AskPerson {
  std::string role;
  std::string to;                          // empty: to everyone
  Text prompt;                             // what the person is asked
  std::vector<std::string> choices;        // empty: any words
  std::optional<std::int64_t> timeout_ms;  // absent: waits for ever
  std::string otherwise;  // said for the person when the time is used up; empty: the step fails
  std::string document;   // as Speak::document

  // The words to keep of an answer: a choice as the flow spells it, which may also be given by its
  // number; other words as they are. Invalid where it is none of the choices, or empty.
  [[nodiscard]] base::Result<std::string> accept(std::string_view words) const;
};

struct Loop {
  std::int64_t max = 1;
  int body = 0;              // the first instruction of the body
  int check = 0;             // its loop_check
  bool check_first = false;  // while
};

struct LoopCheck {
  int loop = 0;  // or discuss
  // Leaves the loop when this holds (until) or no longer holds (while). Absent: only `max` does.
  std::optional<Condition> until;
  std::optional<Condition> while_;
};

struct If {
  Condition condition;
  int then = 0;       // where to go when it holds
  int otherwise = 0;  // and when not; either may be the instruction's next
};

// One assignment of a `set` step: a literal, a value of an output, or a statistic over outputs.
struct Assignment {
  std::string variable;
  std::optional<json::value> literal;
  std::string output;           // a step's name
  std::string pointer;          // into the output, RFC 6901; empty: the whole
  std::string stat;             // count min max mean median q1 q3 spread majority; empty: none
  std::vector<std::string> of;  // the steps whose outputs the statistic is over
};
struct Set {
  std::vector<Assignment> assignments;
};

struct End {
  Text reason;
};

// Turns taken by several roles.
struct Discuss {
  // round_robin goes on by one with each pass, so that none always has the last word; random never
  // gives two turns in a row to one, and is drawn from the session's seed.
  enum class Order { fixed, round_robin, random, moderator };
  std::vector<std::string> among;
  Order order = Order::fixed;
  std::int64_t max = 1;  // turns
  int turn = 0;          // the instruction of a turn
  int choice = kNone;    // of the moderator's choice; kNone without one
  int check = 0;
  static constexpr int kNone = -1;
};
[[nodiscard]] std::string_view order_name(Discuss::Order order);

// Asks a moderator's model who speaks next.
struct Choice {
  int discuss = 0;
  std::string role;  // the moderator
  ContextRule context;
  std::string model;  // as Speak::model
};

// Branches at the same time.
struct Parallel {
  std::vector<int> branches;      // the first instruction of each; kBranchEnd for an empty one
  std::vector<std::string> each;  // with it, one branch is performed by each of these roles
};

// A call's argument: a value, or a text with references.
struct Argument {
  std::optional<json::value> literal;
  Text text;
};

// Another flow inside this one.
struct Call {
  std::string flow;
  Text topic;  // empty: the called flow's own
  std::map<std::string, Argument> variables;
  // ---- of the called flow
  std::map<std::string, json::value> initial;  // its variables' defaults
  std::string default_topic;
  std::string result;  // its step whose output is the call's
  std::string prefix;  // of its roles' references
  int entry = 0;       // its first instruction
};

// The `goto` attribute: a jump taken after a step, at most `max` times in a session.
struct Goto {
  int target = 0;
  std::optional<std::int64_t> max;  // absent: never taken (as the older system did), a check error
  std::optional<Condition> when;
};

struct Instruction {
  std::string name;  // the step's id in the flow's text; empty if it has none
  // Where it stands in the text's structure, the same for ever in one version: "2.loop.1" is the
  // first step in the loop that is the flow's second step. Part of an execution's path.
  std::string path;
  int next = kEnd;
  std::vector<int> loops;  // the loops around it in its branch or flow, outermost first
  std::optional<Goto> jump;
  std::variant<Speak, AskPerson, Loop, LoopCheck, If, Set, End, Discuss, Choice, Parallel, Call>
      step;

  static constexpr int kEnd = -1;
  static constexpr int kBranchEnd = -2;
  // "speak", "ask", "loop", "loop_check", "if", "set", "end", "discuss", "choice", "parallel",
  // "call".
  [[nodiscard]] std::string_view kind() const;
  // Somebody says something in it, model or person: a row that stays open for a while.
  [[nodiscard]] bool says() const {
    return std::holds_alternative<Speak>(step) || std::holds_alternative<AskPerson>(step);
  }
  // The condition that an if or a check asks; null where there is none.
  [[nodiscard]] const Condition* condition() const;
  // Who says it; empty where nobody does, or who does is known only when it is opened.
  [[nodiscard]] const std::string& role() const;
  // What people call the step: its name, else kind and path.
  [[nodiscard]] std::string label() const;
};

// A role as a flow declares it.
struct RoleDeclaration {
  std::string ref;
  std::string use;     // the stored role it takes prompt and settings from; empty: none
  std::string name;    // for people; the stored role's, else the ref, if not given
  std::string prompt;  // empty if only `use` gives it
  std::string model;   // profile name; empty: the session's
  json::object parameters;
  std::string scope;  // of a called flow's role: the prefix of its ref
  std::string as;     // the caller's role whose part it is; empty: its own
};

struct VariableDeclaration {
  std::string name;
  std::string type;  // string, integer, number, boolean, array, object; empty: any
  std::optional<json::value> initial;  // absent: a session must set it
  json::object schema;                 // minimum, maximum, enum ... as given
};

struct Program {
  std::string name;
  std::string title;
  std::string language = "en";
  std::string topic;                   // the default
  std::vector<RoleDeclaration> roles;  // in the order of the text
  std::vector<VariableDeclaration> variables;
  std::map<std::string, std::string> format;  // overrides of the standing words
  Limits limits;
  std::string result;  // the step whose output is the session's result; empty: none
  std::vector<Instruction> steps;
  int entry = 0;  // the first instruction; kEnd for an empty flow (a check error)

  [[nodiscard]] const RoleDeclaration* role(std::string_view ref) const;
  [[nodiscard]] const Instruction* named(std::string_view step) const;
  // The prefix of a called flow's role; empty of the flow's own.
  [[nodiscard]] std::string_view scope_of(std::string_view role) const;

  // Everything but the steps, as JSON; what a session's flow_snapshot holds.
  [[nodiscard]] json::object header_json() const;
  // An instruction as JSON: what flow_steps.spec and a log row's step_snapshot hold. `from_rows`
  // reads it back, so that a stored version is performed as it was compiled, for ever.
  [[nodiscard]] json::object spec_json(int index) const;
  // Rows in order, without ids and foreign keys; the older system's columns show what they can.
  [[nodiscard]] std::vector<model::FlowStep> to_rows() const;
  [[nodiscard]] static base::Result<Program> from_rows(const json::object& header,
                                                       const std::vector<model::FlowStep>& rows);
};

}  // namespace tertulia::flow
