// A version of a flow as it was stored, read back with what only its text has: titles, roles and
// their prompts. Any thread; borrows nothing.
#pragma once

#include <string>

#include "base/result.h"
#include "db/connection.h"
#include "flow/program.h"
#include "model/rows.h"
#include "service/flow_library.h"

namespace tertulia::service {

struct StoredVersion {
  model::FlowVersion row;
  flow::Program program;
};

// `wanted` is a number, or "latest". not_found where there is no such version; invalid where it is
// neither, where the text cannot be compiled with these surroundings (a file that it names is not
// there), or compiles to other steps than were stored, because a flow that it calls has changed.
[[nodiscard]] base::Result<StoredVersion> load_stored_version(db::Connection& reader,
                                                              const model::FlowTemplate& flow,
                                                              const std::string& wanted,
                                                              const FlowSurroundings& surroundings);

}  // namespace tertulia::service
