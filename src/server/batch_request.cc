#include "server/batch_request.h"

#include <fmt/format.h>

namespace tertulia::server {

namespace json = base::json;
using engine::BatchInput;
using model::Id;

namespace {

constexpr std::size_t kMostInputs = 1'000;
constexpr std::size_t kMostSessions = 10'000;

}  // namespace

std::string model_of(Body& body, const std::string& otherwise) {
  std::string model = body.text("model").value_or(otherwise);
  if (model.empty())
    body.mistake("model", "a model is wanted: this server was started without one");
  return model;
}

std::vector<BatchInput> inputs_of(Body& body) {
  std::vector<BatchInput> inputs;
  const json::value* list = body.any("inputs");
  if (list == nullptr || !list->is_array() || list->get_array().empty() ||
      list->get_array().size() > kMostInputs) {
    body.mistake("inputs", fmt::format("an array of 1 to {} inputs is wanted here", kMostInputs));
    return inputs;
  }
  for (const json::value& each : list->get_array()) {
    const std::size_t at = inputs.size();
    if (!each.is_object()) {
      body.mistake("inputs", at, "an object is wanted here");
      return inputs;
    }
    auto input = BatchInput::from_json(each.get_object(), true);
    if (!input) {
      body.mistake("inputs", at, input.error().message);
      return inputs;
    }
    if (input->id.empty()) body.mistake("inputs", at, "it has no id");
    if (input->place.empty()) input->place = fmt::format("input '{}'", input->id);
    inputs.push_back(*std::move(input));
  }
  return inputs;
}

std::vector<Id> sessions_of(Body& body) {
  std::vector<Id> sessions;
  const json::value* list = body.any("sessions");
  bool is_good = list != nullptr && list->is_array() && list->get_array().size() <= kMostSessions;
  if (is_good)
    for (const json::value& each : list->get_array()) {
      is_good = is_good && each.is_int64();
      if (each.is_int64()) sessions.push_back(each.get_int64());
    }
  if (!is_good)
    body.mistake("sessions",
                 fmt::format("an array of at most {} session ids is wanted here", kMostSessions));
  return sessions;
}

}  // namespace tertulia::server
