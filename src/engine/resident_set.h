// The memory of this process, for step_execution_logs.memory_usage_mb.
#pragma once

namespace tertulia::engine {

// The resident set in MB (10^6 bytes), at most a quarter of a second old: reading it costs more
// than the rest of a quick step's bookkeeping. Safe from any thread.
[[nodiscard]] double resident_set_mb();

}  // namespace tertulia::engine
