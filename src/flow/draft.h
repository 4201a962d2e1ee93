// A flow as parsed: still nested, each part with its place in the text. Internal to the language's
// half of the room: parse.cc makes it, check.cc holds it against itself, compile.cc flattens it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "flow/check.h"
#include "flow/program.h"

namespace tertulia::flow {

struct Place {
  int line = 1;
  int column = 1;
};

// A name that the text uses and that something else must declare.
struct Use {
  enum class Kind { role, output, variable, document, step, profile, stored_role, call };
  Kind kind = Kind::role;
  std::string name;
  Place place;
  std::string pointer;                  // output: into it
  std::optional<Condition::Test> test;  // output, variable: compared so with `value`
  std::optional<json::value> value;     // without `test`: what the variable is set to
  int each_block = 0;                   // the `parallel: {each: ...}` around it, from 1; 0: none
  bool in_stat = false;                 // output: of a statistic
};

struct StepDraft;

struct LoopDraft {
  std::int64_t max = 1;
  std::optional<Condition> until;
  std::optional<Condition> while_;
  Place condition_place;
  std::vector<StepDraft> steps;
};

struct IfDraft {
  Condition condition;
  std::vector<StepDraft> then;
  std::vector<StepDraft> otherwise;
  Place condition_place;
};

struct DiscussDraft {
  Discuss discuss;
  Speak turn;
  std::string moderator;
  std::optional<Condition> until;
  Place condition_place;
};

struct ParallelDraft {
  std::vector<std::vector<StepDraft>> branches;  // one, with `each`
  std::vector<std::string> each;
  int each_block = 0;
};

struct CallDraft {
  Call call;
  std::shared_ptr<const Program> called;     // null where it is not known: told
  std::map<std::string, std::string> roles;  // of the called flow -> of this one
};

struct GotoDraft {
  std::string step;
  std::optional<std::int64_t> max;
  std::optional<Condition> when;
  Place place;
};

struct StepDraft {
  Place place;
  std::string id;
  Place id_place;
  std::optional<GotoDraft> jump;
  std::variant<Speak, AskPerson, LoopDraft, IfDraft, Set, End, DiscussDraft, ParallelDraft,
               CallDraft>
      step;
  std::optional<Place> context_place;
};

struct FlowDraft {
  Program program;  // without steps and entry
  std::vector<StepDraft> steps;
  std::vector<Use> uses;
  std::map<std::string, Place, std::less<>> role_places;
  Place limits_place;
  Place result_place;
};

// Gathers problems.
class Problems final {
 public:
  void error(Place place, std::string message) { add(Problem::Severity::error, place, message); }
  void warn(Place place, std::string message) { add(Problem::Severity::warning, place, message); }
  [[nodiscard]] bool has_errors() const { return errors_ > 0; }
  // By position.
  [[nodiscard]] std::vector<Problem> take();

 private:
  void add(Problem::Severity severity, Place place, std::string& message);
  std::vector<Problem> list_;
  int errors_ = 0;
};

// Parses the text; nothing where it is not even a mapping.
[[nodiscard]] std::optional<FlowDraft> parse_draft(std::string_view source,
                                                   const CheckOptions& options, Problems& problems);
// What a value breaks of a variable's declaration ("must be at least 1"); nothing if it fits.
[[nodiscard]] std::optional<std::string> why_not(const json::value& value,
                                                 const VariableDeclaration& variable);

// Holds what is used against what is declared, and the limits against the loops.
void check_draft(const FlowDraft& draft, const CheckOptions& options, Problems& problems);

struct Compiled {
  Program program;
  struct Places {
    Place step;
    Place context;    // of a speak step's `context`, else of the step
    Place condition;  // of an if's or a loop's condition, else of the step
  };
  std::vector<Places> places;  // by instruction
  // What calls lead to, by the call's instruction.
  struct Called {
    std::shared_ptr<const Program> program;
    std::map<std::string, std::string> roles;  // of the called flow -> of the caller
  };
  std::map<int, Called> called;
};
// Without the steps of called flows: these are added by add_called.
[[nodiscard]] Compiled compile_draft(FlowDraft draft);

// Puts the steps and roles of called flows behind the program's own.
void add_called(Compiled& compiled);

// Warns of what can be told from the ways through a program: steps that no way leads to, names of
// what no way has brought before, loops that nothing inside can end, drafts that their writer is
// not shown.
void warn_of_ways(const Compiled& compiled, Problems& problems);

}  // namespace tertulia::flow
