// What the bodies of requests about batches have in common. Mistakes are the body's.
#pragma once

#include <string>
#include <vector>

#include "engine/batch_inputs.h"
#include "model/rows.h"
#include "server/body.h"

namespace tertulia::server {

// `model`; a mistake where it is absent and there is no other.
[[nodiscard]] std::string model_of(Body& body, const std::string& otherwise);
// `inputs`, at least one and at most 1,000, each with an id and a place.
[[nodiscard]] std::vector<engine::BatchInput> inputs_of(Body& body);
// `sessions`: ids, at most 10,000.
[[nodiscard]] std::vector<model::Id> sessions_of(Body& body);

}  // namespace tertulia::server
