#include "engine/cost.h"

namespace tertulia::engine {

bool has_price(const base::json::object& model) {
  const base::json::value* price = model.if_contains("price");
  return price != nullptr && price->is_object();
}

std::optional<double> price_of(const base::json::object& model, const llm::Usage& usage) {
  if (!has_price(model)) return {};
  const auto& price = model.at("price").get_object();
  const auto per_million = [&](const char* name) {
    const base::json::value* value = price.if_contains(name);
    return value != nullptr && value->is_number() ? value->to_number<double>() : 0.0;
  };
  return (static_cast<double>(usage.prompt_tokens) * per_million("input") +
          static_cast<double>(usage.completion_tokens) * per_million("output")) /
         1e6;
}

}  // namespace tertulia::engine
