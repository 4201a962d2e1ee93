// The templates of an adopted database as flows: each becomes the first version of a flow on its
// own old rows of flow_steps. What cannot be said in the flow language stays a row that sessions
// can be read by, and a note says why.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "flow/program.h"
#include "model/rows.h"

namespace tertulia::adopt {

struct AdoptedFlow {
  model::Id template_id = 0;
  std::string title;
  model::FlowVersion version;
  // Of the version; one without steps where the template could not be made a flow.
  flow::Program program;
  std::vector<model::Id> step_ids;  // by instruction
  std::string why_not;              // it cannot be performed; empty: it can
};

class Flows final {
 public:
  // Adopts all templates. `roles` are all stored roles.
  [[nodiscard]] static base::Result<Flows> adopt(db::Connection& connection,
                                                 const std::vector<model::Role>& roles,
                                                 base::Timestamp now);

  [[nodiscard]] const std::vector<AdoptedFlow>& all() const { return flows_; }
  // The flow of a session; where its template is lost, one for reading only is made in its place.
  [[nodiscard]] base::Result<const AdoptedFlow*> of_template(db::Connection& connection,
                                                             std::optional<model::Id> id,
                                                             base::Timestamp now);

 private:
  std::vector<AdoptedFlow> flows_;
  std::map<model::Id, AdoptedFlow> lost_;
};

}  // namespace tertulia::adopt
