// tertulia flow preview: the exact request that a step makes, for an invented history or for a real
// session.
#pragma once

#include "cli/context.h"

namespace tertulia::cli {

void add_flow_preview(CLI::App& flow, Context& context);

}  // namespace tertulia::cli
