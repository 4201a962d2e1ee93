#include "flow/keys.h"

#include <map>
#include <vector>

namespace tertulia::flow {
namespace {

using Lists = std::map<Construct, std::vector<std::string>>;

const Lists& known() {
  static const Lists lists = {
      {Construct::flow,
       {"tertulia", "name", "title", "language", "format", "topic", "roles", "vars", "limits",
        "on_limit", "steps", "result"}},
      {Construct::role,
       {"use", "name", "prompt", "prompt_file", "model", "temperature", "top_p", "max_tokens",
        "stop", "seed", "reasoning_effort", "limits"}},
      {Construct::role_limits, {"steps", "tokens", "cost_usd"}},
      {Construct::variable, {"type", "default", "minimum", "maximum", "enum", "description"}},
      {Construct::limits, {"steps", "rounds", "tokens", "cost_usd", "time", "on_limit"}},
      {Construct::speak,
       {"speak", "id", "goto", "to", "task", "context", "output", "document", "continue", "model",
        "fallback", "retry", "timeout", "temperature", "top_p", "max_tokens", "stop", "seed",
        "reasoning_effort"}},
      {Construct::ask,
       {"ask", "id", "goto", "to", "prompt", "choices", "timeout", "default", "document"}},
      {Construct::loop_step, {"loop", "id", "goto"}},
      {Construct::loop, {"max", "until", "while", "steps"}},
      {Construct::if_, {"if", "id", "goto", "then", "else"}},
      {Construct::set, {"set", "id", "goto"}},
      {Construct::end, {"end", "id", "goto"}},
      {Construct::discuss_step, {"discuss", "id", "goto"}},
      {Construct::discuss,
       {"among", "order", "moderator", "max", "until", "task", "context", "model", "fallback",
        "continue", "retry", "timeout", "temperature", "top_p", "max_tokens", "stop", "seed",
        "reasoning_effort"}},
      {Construct::parallel, {"parallel", "id", "goto"}},
      {Construct::each, {"each", "do"}},
      {Construct::call, {"call", "id", "goto", "with"}},
      {Construct::with, {"topic", "roles", "vars"}},
      {Construct::goto_, {"step", "max", "when"}},
      {Construct::context,
       {"scope", "from", "except", "last", "max_tokens", "include_topic", "documents",
        "anonymous"}},
      {Construct::retry, {"attempts", "backoff"}},
      {Construct::assignment, {"output", "at", "stat", "of"}},
      {Construct::condition,
       {"contains", "matches", "equals", "of", "output", "var", "rounds_at_least", "judge",
        "question", "all", "any", "not"}},
      {Construct::output_test, {"at", "equals", "not_equals", "gt", "gte", "lt", "lte", "in"}},
      {Construct::result, {"output"}}};
  return lists;
}

const Lists& later() {
  static const Lists lists = {{Construct::role, {"knowledge", "tools"}},
                              {Construct::speak, {"knowledge", "tools"}},
                              {Construct::discuss, {"knowledge", "tools"}}};
  return lists;
}

std::span<const std::string> find(const Lists& lists, Construct construct) {
  const auto found = lists.find(construct);
  if (found == lists.end()) return {};
  return found->second;
}

}  // namespace

std::span<const std::string> keys_of(Construct construct) {
  return find(known(), construct);
}

std::span<const std::string> later_keys_of(Construct construct) {
  return find(later(), construct);
}

}  // namespace tertulia::flow
