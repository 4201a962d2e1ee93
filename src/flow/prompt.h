// From context to request: the one function that makes what a role is asked. Pure: the same
// program, state, cast and history give the same prompt, byte for byte, so that a request need not
// be stored but can be rebuilt from the log and held against its SHA-256.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flow/cast.h"
#include "flow/machine.h"

namespace tertulia::flow {

// A message of the session, as contexts see it.
struct Said {
  std::int64_t position = 0;
  std::string role;
  std::string text;
  std::int64_t round = 1;
  std::string document;  // a version of this document; empty: of none
  std::int64_t document_version = 0;
  std::int64_t id = 0;  // messages.id, where it is known
};

// The conversation so far, by position. Implementations keep recent messages and fetch older ones
// when asked, so the cost of a step does not grow with the session.
class History {
 public:
  virtual ~History() = default;
  // The message with this key (Strand::key_of). Valid until the next call.
  [[nodiscard]] virtual base::Result<const Said*> at(std::int64_t key) const = 0;
};

// Which messages and documents were shown, by reference: the body of a context_snapshot.
struct Shown {
  std::int64_t first = 0;  // positions in the strand; 0 if none
  std::int64_t last = 0;
  std::int64_t count = 0;
  std::int64_t dropped_through = 0;  // messages up to this position were dropped for the budget
  struct Document {
    std::string name;
    std::int64_t version = 0;
    std::int64_t position = 0;  // or its key, in a parallel
  };
  std::vector<Document> documents;
  std::int64_t estimated_tokens = 0;
  [[nodiscard]] json::object to_json(const ContextRule& rule) const;
};

struct Prompt {
  struct Turn {
    bool own = false;  // the speaker's own earlier words
    std::string text;
  };
  std::string system;
  std::vector<Turn> turns;  // the first and the last are not own
  std::optional<json::object> schema;
  Shown shown;
  // For people and for rehearsal, which refers to what it was shown.
  std::string task;
  std::vector<std::string> shown_speakers;  // names, oldest first
  std::string last_shown;
  std::vector<std::string> documents;  // "title, version N"
};

using TokenEstimate = std::function<std::int64_t(std::string_view)>;

// The prompt of the open row of one of the state's strands: of a speak step, a judge or a
// moderator's choice. An error only where the history cannot be read.
[[nodiscard]] base::Result<Prompt> make_prompt(const Program& program, const State& state,
                                               const Strand& strand, const Cast& cast,
                                               std::string_view topic, const History& history,
                                               const Record& record, const TokenEstimate& estimate);

// What the person of the strand's open row is asked.
[[nodiscard]] std::string question_for_person(const Program& program, const State& state,
                                              const Strand& strand, const Cast& cast,
                                              std::string_view topic, const Record& record);

// What is kept of an answer: white space around it and a leading own "NAME:" are taken off.
// `spoke_for` lists the other roles for whom the speaker also spoke ("OTHER: ..." at a line's
// start); that is kept, and flagged in result_data.
struct TidyAnswer {
  std::string text;
  std::vector<std::string> spoke_for;
};
[[nodiscard]] TidyAnswer tidy_answer(std::string_view text, const CastRole& speaker,
                                     const Cast& cast);

}  // namespace tertulia::flow
