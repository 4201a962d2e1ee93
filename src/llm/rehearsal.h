// Rehearsal is the built-in stand-in speaker: no key, no network, no cost. What it says is a
// function of the session's seed and the execution's path (so not of the attempt, nor of what ran
// beside it); the faults that it can be told to inject depend on the attempt too. Structured
// outputs are filled with valid values. Without latency, `start` reports before it returns, on the
// caller's thread; with it, words stream evenly on the transport's thread.
// Tokens are counted by a fixed rule, one for every four bytes begun: the counts of a rehearsal are
// of use only as numbers that never change.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "llm/provider.h"
#include "llm/rehearsal_script.h"
#include "llm/transport.h"

namespace tertulia::llm {

struct RehearsalOptions {
  std::chrono::milliseconds latency{0};  // of a whole answer
  double fail = 0;                       // the share of attempts that fail
  Outcome kind = Outcome::server;        // how they fail
};

// Reads what stands after the ? of `rehearsal?latency=200ms&fail=0.05&kind=server`. Latencies are
// written 200ms, 1.5s or 2m.
[[nodiscard]] base::Result<RehearsalOptions> parse_rehearsal_options(std::string_view query);

[[nodiscard]] std::unique_ptr<Provider> make_rehearsal(const RehearsalOptions& options,
                                                       RehearsalScript script,
                                                       Transport& transport);

}  // namespace tertulia::llm
