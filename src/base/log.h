// The program's own log (not the step log): spdlog on standard error, one line an event.
// Nothing secret may be passed to it.
#pragma once

#include <spdlog/spdlog.h>

namespace tertulia::base {

enum class LogLevel { error, warn, info, debug };

// As lines of text, or as JSON Lines: {time, level, message}.
enum class LogFormat { text, json };

// Sends the log to standard error at this level; called by main, before other threads run. Called
// again, it replaces what was in force.
void start_log(LogLevel level, LogFormat format = LogFormat::text);

}  // namespace tertulia::base
