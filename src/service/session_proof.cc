#include "service/session_proof.h"

namespace tertulia::service {

namespace json = base::json;

std::vector<flow::Disagreement> disagreements_of(const engine::Explanation& explanation) {
  std::vector<flow::Disagreement> all = explanation.replay.disagreements;
  all.insert(all.end(), explanation.request_disagreements.begin(),
             explanation.request_disagreements.end());
  return all;
}

json::object proof_json(model::Id session, const engine::Explanation& explanation) {
  json::object out;
  out["session_id"] = session;
  out["agrees"] = explanation.agrees();
  out["rows"] = explanation.replay.rows;
  out["messages"] = explanation.replay.messages;
  out["requests_rebuilt"] = explanation.requests_rebuilt;
  json::array list;
  for (const auto& each : disagreements_of(explanation)) {
    json::object one;
    one["order"] = each.order;
    one["what"] = each.what;
    list.push_back(std::move(one));
  }
  out["disagreements"] = std::move(list);
  return out;
}

}  // namespace tertulia::service
