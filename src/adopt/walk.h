// Walking a flow along the messages of an adopted session: which step said which message, what the
// log would say of it, and where the session stands. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flow/machine.h"
#include "model/rows.h"

namespace tertulia::adopt {

struct Heard {
  model::Id id = 0;
  std::string role;  // reference of the speaker; empty: nobody of this session
  std::string text;
  base::Timestamp at;
};

struct WalkInput {
  const flow::Program* program = nullptr;
  std::vector<model::Id> step_ids;  // by instruction
  std::vector<Heard> messages;
  std::vector<model::StepExecutionLog> log;  // as the older system wrote it, by order
  std::string topic;
};

// A row of the log as it is to be.
struct LogRow {
  std::int64_t order = 0;
  int instruction = 0;
  std::optional<std::size_t> older;  // the row of `log` that it is; absent: a row to be made
  std::optional<std::size_t> message;
  flow::OpenRow opened;
  std::optional<flow::Closing> closing;  // of a row that is over
};

struct WalkResult {
  std::vector<LogRow> rows;  // by order; the last is open where the flow goes on
  flow::State state;         // running at the last row, or over
  std::string misfit;        // why the messages are not the flow's; empty: they are
};

[[nodiscard]] WalkResult walk_along(const WalkInput& input);

}  // namespace tertulia::adopt
