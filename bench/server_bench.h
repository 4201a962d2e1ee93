// What the benchmarks of `tertulia serve` share.
#pragma once

#include <string>
#include <vector>

#include "bench/clients.h"

namespace tertulia::bench {

struct ServerBenchOptions {
  std::string folder = "build/bench-server";
  int sessions = 200;  // that run at once
  int stored = 100'000;
  int readers = 1000;
  int seconds = 20;
  int rate = 200;  // requests a second
};

// Stores a flow of so many speak steps under the name.
void store_flow(Clients& clients, const std::string& name, int steps);
// Makes sessions of it that do not begin yet.
[[nodiscard]] std::vector<std::int64_t> make_sessions(Clients& clients, const std::string& flow,
                                                      int count);
// The member of a JSON text that is an integer; gives up where there is none.
[[nodiscard]] std::int64_t integer_in(std::string_view text, std::string_view member);
// The sum of a metric's lines in an answer of /metrics.
[[nodiscard]] double metric_in(std::string_view text, std::string_view name);

// From the model's byte to the reader's event.
void measure_relay(const ServerBenchOptions& options);
// Start to ready, and memory at rest.
void measure_rest(const ServerBenchOptions& options);
// Reads of a large database while sessions run.
void measure_load(const ServerBenchOptions& options);
// Many readers of one session, that come and go.
void measure_readers(const ServerBenchOptions& options);

}  // namespace tertulia::bench
