#include "flow/limits.h"

#include <cmath>

#include "flow/spec.h"

namespace tertulia::flow {
namespace {

void put(json::object& out, const char* name, const std::optional<std::int64_t>& value) {
  if (value) out[name] = *value;
}

std::optional<std::int64_t> take(Spec& spec, std::string_view name) {
  if (!spec.has(name)) return {};
  return spec.integer(name, 0);
}

}  // namespace

json::object Limits::to_json() const {
  json::object out;
  out["steps"] = steps;
  out["rounds"] = rounds;
  put(out, "time_ms", time_ms);
  put(out, "tokens", tokens);
  put(out, "cost_nano", cost_nano);
  if (finish) out["finish"] = true;
  if (!roles.empty()) {
    json::object by_role;
    for (const auto& [role, limits] : roles) {
      json::object one;
      put(one, "steps", limits.steps);
      put(one, "tokens", limits.tokens);
      put(one, "cost_nano", limits.cost_nano);
      by_role[role] = std::move(one);
    }
    out["roles"] = std::move(by_role);
  }
  return out;
}

base::Result<Limits> Limits::from_json(const json::value& value) {
  Spec spec(value, "limits");
  Limits limits;
  limits.steps = spec.integer("steps", limits.steps);
  limits.rounds = spec.integer("rounds", limits.rounds);
  limits.time_ms = take(spec, "time_ms");
  limits.tokens = take(spec, "tokens");
  limits.cost_nano = take(spec, "cost_nano");
  limits.finish = spec.flag("finish", false);
  for (const auto& member : spec.object("roles")) {
    Spec one(member.value(), "limits of a role");
    limits.roles.emplace(member.key(), RoleLimits{.steps = take(one, "steps"),
                                                  .tokens = take(one, "tokens"),
                                                  .cost_nano = take(one, "cost_nano")});
    if (auto failed = one.take_error()) return *failed;
  }
  if (auto failed = spec.take_error()) return *failed;
  return limits;
}

Spent& Spent::operator+=(const Spent& other) {
  prompt_tokens += other.prompt_tokens;
  completion_tokens += other.completion_tokens;
  cost_nano += other.cost_nano;
  return *this;
}

void put_spent(json::object& result_data, const Spent& spent) {
  result_data["tokens"] = json::array{spent.prompt_tokens, spent.completion_tokens};
  if (spent.cost_nano != 0) result_data["cost_usd"] = from_nano(spent.cost_nano);
}

std::optional<Spent> spent_in(const json::object& result_data) {
  const json::value* tokens = result_data.if_contains("tokens");
  if (tokens == nullptr || !tokens->is_array() || tokens->get_array().size() != 2) return {};
  const json::array& pair = tokens->get_array();
  if (!pair[0].is_int64() || !pair[1].is_int64()) return {};
  Spent spent{.prompt_tokens = pair[0].get_int64(), .completion_tokens = pair[1].get_int64()};
  if (const json::value* cost = result_data.if_contains("cost_usd"); cost && cost->is_number())
    spent.cost_nano = to_nano(cost->to_number<double>());
  return spent;
}

std::int64_t to_nano(double usd) {
  return std::llround(usd * 1e9);
}

double from_nano(std::int64_t nano) {
  return static_cast<double>(nano) / 1e9;
}

}  // namespace tertulia::flow
