// tertulia flow rehearse: a flow tried out, and which of its ways it comes to.
#pragma once

#include "cli/context.h"

namespace tertulia::cli {

void add_flow_rehearse(CLI::App& flow, Context& context);

}  // namespace tertulia::cli
