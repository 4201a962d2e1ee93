// What a session that waits for a person waits for: read from its log, so that it can be shown and
// answered by any process, days later.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/session_data.h"

namespace tertulia::engine {

struct Waiting {
  std::int64_t order = 0;  // of the row that waits
  std::string role;        // the reference, and the name for people
  std::string name;
  std::string question;
  std::vector<std::string> choices;
  std::optional<base::json::object> schema;  // the answer is JSON that fits it
  base::Timestamp since;
  std::optional<base::Timestamp> until;  // then `otherwise` is said, or the step times out
  std::string otherwise;

  // What is kept of an answer. Invalid where it has no words, is none of the choices
  // (flow::AskPerson::accept), or does not fit the schema, by the same rules as a model's.
  struct Accepted {
    std::string words;
    std::optional<base::json::value> output;  // where there is a schema
  };
  [[nodiscard]] base::Result<Accepted> accept(std::string_view words) const;
  [[nodiscard]] std::int64_t waited_ms(base::Timestamp now) const;
  [[nodiscard]] bool is_expired(base::Timestamp now) const { return until && now >= *until; }
};

// All that the session waits for, by order: inside a parallel, several persons may be asked at
// once. Empty where it waits for nobody.
[[nodiscard]] base::Result<std::vector<Waiting>> find_waiting(db::Connection& connection,
                                                              const SessionData& session,
                                                              const flow::State& state);
// The same of a session by its id, as it stands at one moment.
[[nodiscard]] base::Result<std::vector<Waiting>> find_waiting(db::Connection& connection,
                                                              FlowCache& flows, Id session);

}  // namespace tertulia::engine
