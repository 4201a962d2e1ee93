// Two sessions side by side: what each took, and where they part.
//
// Any thread, each with a connection of its own that reads; what is read of a session is of one
// moment.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "db/connection.h"
#include "engine/session_data.h"
#include "service/text_diff.h"
#include "store/step_log.h"

namespace tertulia::service {

struct ComparedSession {
  model::Session row;
  engine::SessionData session;
  std::vector<model::Message> messages;
  store::UsageSum usage;
  std::int64_t steps = 0;
  std::int64_t step_time_ms = 0;  // of steps that asked a model
  std::vector<std::string> models;
};

struct Comparison {
  ComparedSession first;
  ComparedSession second;
  bool same_flow = false;  // and version
  bool same_topic = false;
  // The first message that differs, from 0; absent where all are alike. One of the two may have
  // none there.
  std::optional<std::size_t> parting;
  // Of the messages there, where both have one: runs of words, in order.
  std::vector<DiffLine> words;
};

// not_found names the session that is not there.
[[nodiscard]] base::Result<Comparison> compare_sessions(db::Connection& reader,
                                                        engine::FlowCache& flows, model::Id first,
                                                        model::Id second);
[[nodiscard]] base::json::object comparison_json(const Comparison& comparison);

}  // namespace tertulia::service
