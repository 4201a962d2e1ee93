// A server's flows, roles and models, over its HTTP API, in the forms in which the library of this
// machine's database has them (service/flow_library.h, service/role_library.h).
//
// Any thread; what is given borrows the client.
#pragma once

#include <string>

#include "remote/api_client.h"
#include "service/flow_library.h"

namespace tertulia::remote {

// The text of the flow of that name; not_found names what is near.
[[nodiscard]] base::Result<service::FlowText> find_flow_text(const ApiClient& client,
                                                             const std::string& name);
// What flows may name there: its models and its flows, and no files. The models are asked for at
// once.
[[nodiscard]] base::Result<service::FlowSurroundings> surroundings_of(const ApiClient& client);

// Stores a text that was checked; the same text again finds the version that has it.
[[nodiscard]] base::Result<service::StoredFlow> store_flow(const ApiClient& client,
                                                           const service::FlowText& text,
                                                           const flow::CheckedFlow& checked);
// A stored version as it was written.
[[nodiscard]] base::Result<std::string> load_flow_source(const ApiClient& client,
                                                         const std::string& name,
                                                         std::int64_t version);

[[nodiscard]] base::Result<model::Role> find_role(const ApiClient& client, const std::string& name);
// Replaces it, or makes it.
[[nodiscard]] base::Result<void> save_role(const ApiClient& client, const model::Role& role);

}  // namespace tertulia::remote
