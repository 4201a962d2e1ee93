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

// The profile that a step's speaker is asked with: the step's own, else the role's.
struct ModelInForce {
  std::string profile;
  const base::json::object* model = nullptr;
};
[[nodiscard]] ModelInForce model_in_force(const SessionData& session, const flow::Speak& speak,
                                          const flow::CastRole& role);

struct PreparedRequest {
  llm::Request request;
  std::string body;    // the exact bytes on the wire
  std::string sha256;  // of the body
  base::json::object context_snapshot;
};
// The request of the state's open row. A pure function of its arguments but for what `history`
// reads: it is how a step's request is made, shown and rebuilt.
[[nodiscard]] base::Result<PreparedRequest> prepare_request(const SessionData& session,
                                                            const flow::State& state,
                                                            const flow::History& history,
                                                            const flow::Record& record,
                                                            const llm::Provider& provider);

}  // namespace tertulia::engine
