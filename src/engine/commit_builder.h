// From the machine's effects to the commit that makes them durable, and to the events that announce
// it afterwards.
#pragma once

#include <map>
#include <vector>

#include "engine/event.h"
#include "engine/session_data.h"
#include "flow/machine.h"
#include "store/commit.h"

namespace tertulia::engine {

struct BuiltCommit {
  store::Commit commit;
  std::vector<Event> announcements;  // in order; empty where nobody watches
};

struct CommitFacts {
  base::Timestamp now;
  std::int64_t lease_token = 0;
  double memory_mb = 0;
  std::optional<std::string> session_result;  // JSON, of a session that has finished
  // Of the rows that are open, by order.
  const std::map<std::int64_t, const base::json::object*>* context_snapshots = nullptr;
  bool announce = true;
};

// `state` is the machine's after the effects.
[[nodiscard]] BuiltCommit build_commit(const SessionData& session, const flow::State& state,
                                       const std::vector<flow::Effect>& effects,
                                       std::vector<store::CallMade> calls,
                                       const CommitFacts& facts);

}  // namespace tertulia::engine
