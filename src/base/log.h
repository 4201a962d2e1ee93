// The program's own log (not the step log): spdlog on standard error, one line an event.
// Nothing secret may be passed to it.
#pragma once

#include <spdlog/spdlog.h>

namespace tertulia::base {

enum class LogLevel { error, warn, info, debug };

// Sends the log to standard error at this level; called once, by main, before other threads run.
void start_log(LogLevel level);

}  // namespace tertulia::base
