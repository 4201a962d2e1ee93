// Flows and roles in the database. A flow's versions are never changed: saving other text makes a
// new version, saving the same text finds the version that has it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "model/rows.h"

namespace tertulia::store {

using model::Id;

struct NewFlowVersion {
  std::string name;
  std::string title;
  std::string topic;
  std::string origin;         // flow_templates.type: "shipped" or "tertulia"
  std::string source_format;  // yaml or json
  std::string source;
  std::vector<model::FlowStep> steps;  // in order; ids and foreign keys are not read
  base::Timestamp now;
};
struct SavedFlow {
  model::FlowVersion version;
  bool is_new = false;  // false: the flow's latest version has this very text
};
[[nodiscard]] base::Result<SavedFlow> save_flow(db::Connection& connection,
                                                const NewFlowVersion& wanted);
// The same inside the caller's transaction.
[[nodiscard]] base::Result<SavedFlow> save_flow_within(db::Connection& connection,
                                                       const NewFlowVersion& wanted);

struct FlowSummary {
  Id id = 0;
  std::string name;
  std::string title;
  base::Timestamp updated_at;
  std::int64_t latest_version = 0;
  std::int64_t sessions = 0;
};
[[nodiscard]] base::Result<std::vector<FlowSummary>> list_flows(db::Connection& connection);

// Nothing where there is no flow of that name.
[[nodiscard]] base::Result<std::optional<model::FlowTemplate>> find_flow(db::Connection& connection,
                                                                         const std::string& name);
[[nodiscard]] base::Result<model::FlowTemplate> load_flow(db::Connection& connection, Id flow);
// A version by number, or the latest; not_found says which versions there are.
[[nodiscard]] base::Result<model::FlowVersion> load_flow_version(
    db::Connection& connection, const model::FlowTemplate& flow,
    std::optional<std::int64_t> number = {});
[[nodiscard]] base::Result<model::FlowVersion> load_flow_version(db::Connection& connection,
                                                                 Id version);
[[nodiscard]] base::Result<std::vector<model::FlowVersion>> list_flow_versions(
    db::Connection& connection, Id flow);
// The instructions of a version, in order.
[[nodiscard]] base::Result<std::vector<model::FlowStep>> load_flow_steps(db::Connection& connection,
                                                                         Id version);

[[nodiscard]] base::Result<std::vector<model::Role>> list_roles(db::Connection& connection);
[[nodiscard]] base::Result<std::optional<model::Role>> find_role(db::Connection& connection,
                                                                 const std::string& name);
// Deletes the role; sessions that have it keep their snapshot of it. not_found names it.
[[nodiscard]] base::Result<void> delete_role(db::Connection& connection, const std::string& name);
// Deletes the flow with its versions; conflict where sessions or batches refer to them, not_found
// where it is not stored. Both make their own transaction.
[[nodiscard]] base::Result<void> delete_flow(db::Connection& connection, const std::string& name);
// Makes the role, or changes the one of that name. `settings` is JSON or absent.
[[nodiscard]] base::Result<void> save_role(db::Connection& connection, const std::string& name,
                                           const std::string& prompt,
                                           const std::optional<std::string>& settings,
                                           base::Timestamp now);

}  // namespace tertulia::store
