// RecordedCall is one call of a model as a recording keeps it: what was asked, and everything that
// was heard, piece by piece. No key is in it, nor what a key came from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "llm/provider.h"

namespace tertulia::llm {

struct RecordedCall {
  std::int64_t number = 0;  // in its recording, from 1
  std::string profile;
  std::uint64_t seed = 0;  // of the session
  std::string path;        // of the execution, as in Hints
  int attempt = 1;
  std::string step;
  std::int64_t iteration = 0;
  base::json::object request;       // canonical
  std::vector<std::string> pieces;  // the text as it streamed
  Answer answer;

  [[nodiscard]] base::json::object to_json() const;
  // Invalid where it is not what `to_json` wrote.
  [[nodiscard]] static base::Result<RecordedCall> from_json(const base::json::object& line);
};

// The request in a form that does not depend on protocol, server or key: model, system, turns,
// output schema, and the parameters that are set.
[[nodiscard]] base::json::object canonical_request(const Request& request);

// Where two canonical requests differ first, in words: "message 2 (user) from character 14 on:
// expected ..., found ...". Empty where they say the same.
[[nodiscard]] std::string request_difference(const base::json::object& expected,
                                             const base::json::object& found);

}  // namespace tertulia::llm
