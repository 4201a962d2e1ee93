#include "flow/context.h"

#include <algorithm>
#include <map>

namespace tertulia::flow {
namespace {

bool contains(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

struct Range {
  std::int64_t first = 1;
  std::int64_t last = 0;
};

Range range_of(ContextRule::Scope scope, const Strand& strand) {
  using Scope = ContextRule::Scope;
  switch (scope) {
    case Scope::none:
    case Scope::topic:
      return {.first = 1, .last = 0};
    case Scope::last:
      return {.first = std::max(strand.last_said, strand.first), .last = strand.last_said};
    case Scope::this_round:
      return {.first = std::max(strand.round_start, strand.first), .last = strand.last_position};
    case Scope::last_round:
      return {.first = std::max(strand.previous_round_start, strand.first),
              .last = strand.round_start - 1};
    case Scope::all:
      return {.first = strand.first, .last = strand.last_position};
  }
  return {};
}

// Where the next message of the named roles can stand, going back: a role of which none was met yet
// speaks no later than at its last position, and one of which all were met speaks no more.
class Roster final {
 public:
  Roster(const std::vector<std::string>& from, const Strand& strand) : everyone_(from.empty()) {
    for (const std::string& role : from) {
      const auto spoken = strand.spoken.find(role);
      if (spoken != strand.spoken.end()) left_.insert_or_assign(role, spoken->second);
    }
  }

  // The newest position up to `limit` where one of them can have spoken; 0 if none can.
  [[nodiscard]] std::int64_t next(std::int64_t limit) const {
    if (everyone_) return limit;
    std::int64_t newest = 0;
    for (const auto& [role, spoken] : left_)
      newest = std::max(newest, std::min(limit, spoken.last));
    return newest;
  }

  // Notes a message; false if it is not of these roles.
  bool meet(const Said& said, std::int64_t position) {
    if (everyone_) return true;
    const auto found = left_.find(said.role);
    if (found == left_.end()) return false;
    Scope::Spoken& spoken = found->second;
    spoken.last = position - 1;
    if (--spoken.count == 0) left_.erase(found);
    return true;
  }

 private:
  bool everyone_;
  std::map<std::string, Scope::Spoken, std::less<>> left_;
};

}  // namespace

base::Result<Selection> select_context(
    const ContextRule& rule, const Strand& strand, const History& history,
    std::optional<std::int64_t> budget, const std::function<std::int64_t(const Said&)>& cost,
    const std::function<bool(const std::string& role)>& in_scope) {
  const Range range = range_of(rule.scope, strand);
  Roster roster(rule.from, strand);
  Selection selection;
  std::int64_t reads = 0;
  std::int64_t spent = 0;
  for (std::int64_t at = roster.next(range.last); at >= range.first; at = roster.next(at - 1)) {
    if (rule.last && static_cast<std::int64_t>(selection.messages.size()) >= *rule.last) break;
    if (++reads > kMaxLookBack) {
      selection.dropped_through = at;
      break;
    }
    const auto read = history.at(strand.key_of(at));
    if (!read) return read.error();
    const Said& said = **read;
    if (!roster.meet(said, at) || contains(rule.except, said.role)) continue;
    if (rule.from.empty() && in_scope && !in_scope(said.role)) continue;
    if (!said.document.empty() && contains(rule.documents, said.document)) continue;
    if (budget) {
      spent += cost(said);
      if (spent > *budget) {
        selection.dropped_through = at;
        break;
      }
    }
    selection.messages.push_back(said);
    selection.messages.back().position = at;
  }
  std::reverse(selection.messages.begin(), selection.messages.end());
  return selection;
}

}  // namespace tertulia::flow
