// From a Prompt to what a provider is given: the request's neutral form, with the parameters in
// force and the hints for rehearsal.
#pragma once

#include <memory>

#include "engine/session_data.h"
#include "flow/prompt.h"
#include "llm/provider.h"

namespace tertulia::engine {

// The provider for a profile as it is frozen in a session (flow::CastRole::model). Whoever makes an
// engine supplies it, with the keys that only the configuration knows.
using ProviderSource =
    std::function<base::Result<std::shared_ptr<llm::Provider>>(const base::json::object& model)>;

// The profile that a step's speaker is asked with: the step's own, else the role's; or, numbered
// from 1, one of those that the step falls back to.
struct ModelInForce {
  std::string profile;
  const base::json::object* model = nullptr;
};
[[nodiscard]] ModelInForce model_in_force(const SessionData& session, const flow::Speak& speak,
                                          const flow::CastRole& role, std::int64_t fallback = 0);

struct PreparedRequest {
  llm::Request request;
  std::string body;    // the exact bytes on the wire
  std::string sha256;  // of the body
  std::int64_t estimated_tokens = 0;
  base::json::object context_snapshot;
};
// The request of the open row of one of the state's strands, with what earlier attempts at it left
// behind: half an answer to go on with, or one that did not fit. A pure function of its arguments
// but for what `history` reads: it is how a step's request is made, shown and rebuilt.
[[nodiscard]] base::Result<PreparedRequest> prepare_request(
    const SessionData& session, const flow::State& state, const flow::Strand& strand,
    const flow::History& history, const flow::Record& record, const llm::Provider& provider);

// The context snapshot of an open row that waits for a person: what they are asked.
[[nodiscard]] base::json::object question_snapshot(const SessionData& session,
                                                   const flow::State& state,
                                                   const flow::Strand& strand,
                                                   const flow::Record& record);

}  // namespace tertulia::engine
