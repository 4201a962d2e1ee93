#include "store/flows.h"

#include "base/sha256.h"
#include "db/value.h"
#include "store/param.h"
#include "store/read.h"
#include "store/sql.h"

namespace tertulia::store {
namespace {

// The flow's id: its row is made, or brought up to what the new version says of it.
base::Result<Id> save_template(db::Connection& connection, const NewFlowVersion& wanted,
                               const std::optional<model::FlowTemplate>& known, Times& times) {
  const db::Param now = times.param(wanted.now);
  if (!known)
    return db::read_integer(connection, sql::insert_flow_template,
                            std::vector{param(wanted.name), param(wanted.title), now,
                                        param(wanted.topic), param(wanted.origin)});
  auto done = connection.run(sql::update_flow_template,
                             std::vector{param(known->id), param(wanted.title), param(wanted.topic),
                                         now, param(wanted.origin)});
  if (!done) return done.error();
  return known->id;
}

base::Result<void> insert_steps(db::Connection& connection, const NewFlowVersion& wanted, Id flow,
                                Id version) {
  std::vector<db::Work> works;
  for (const auto& step : wanted.steps)
    works.push_back({&sql::insert_flow_step,
                     {param(flow), param(step.order), param(step.speaker_role_ref),
                      param(step.target_role_ref), param(step.task_type), param(step.context_scope),
                      param(step.context_param), param(step.logic_config), param(step.description),
                      param(version), param(step.kind), param(step.name), param(step.spec)},
                     1});
  return connection.run_batch(works);
}

// A flow that calls others holds their steps: the same text with other steps is another version.
base::Result<bool> has_these_steps(db::Connection& connection, Id version,
                                   const NewFlowVersion& wanted) {
  const bool calls = std::any_of(wanted.steps.begin(), wanted.steps.end(),
                                 [](const auto& step) { return step.kind == "call"; });
  if (!calls) return true;
  auto stored = load_flow_steps(connection, version);
  if (!stored) return stored.error();
  return std::equal(stored->begin(), stored->end(), wanted.steps.begin(), wanted.steps.end(),
                    [](const auto& a, const auto& b) { return a.spec == b.spec; });
}

}  // namespace

base::Result<SavedFlow> save_flow(db::Connection& connection, const NewFlowVersion& wanted) {
  auto transaction = db::Transaction::begin(connection);
  if (!transaction) return transaction.error();
  auto saved = save_flow_within(connection, wanted);
  if (!saved) return saved.error();
  if (auto done = transaction->commit(); !done) return done.error();
  return saved;
}

base::Result<SavedFlow> save_flow_within(db::Connection& connection, const NewFlowVersion& wanted) {
  auto known = find_flow(connection, wanted.name);
  if (!known) return known.error();
  model::FlowVersion version;
  version.number = 1;
  version.source_sha256 = base::sha256_hex(wanted.source);
  if (*known) {
    auto latest = read_one<model::FlowVersion>(connection, sql::select_latest_flow_version,
                                               std::vector{param((*known)->id)});
    if (!latest) return latest.error();
    if (*latest && (*latest)->source_sha256 == version.source_sha256) {
      auto same = has_these_steps(connection, (*latest)->id, wanted);
      if (!same) return same.error();
      if (*same) return SavedFlow{**std::move(latest), false};
    }
    if (*latest) version.number = (*latest)->number + 1;
  }
  Times times;
  auto flow = save_template(connection, wanted, *known, times);
  if (!flow) return flow.error();
  auto id = db::read_integer(
      connection, sql::insert_flow_version,
      std::vector{param(*flow), param(version.number), param(wanted.source_format),
                  param(wanted.source), param(version.source_sha256), times.param(wanted.now)});
  if (!id) return id.error();
  if (auto done = insert_steps(connection, wanted, *flow, *id); !done) return done.error();
  version.id = *id;
  version.flow_template_id = *flow;
  version.source_format = wanted.source_format;
  version.source = wanted.source;
  version.created_at = wanted.now;
  return SavedFlow{std::move(version), true};
}

base::Result<std::vector<FlowSummary>> list_flows(db::Connection& connection) {
  std::vector<FlowSummary> found;
  auto done =
      connection.each(sql::list_flow_templates, {}, [&](const db::Row& row) -> base::Result<void> {
        found.push_back({row.integer(0), std::string(row.text(1)), std::string(row.text(2)),
                         base::parse_iso8601(row.text(3)).value_or(base::Timestamp()),
                         row.integer(4), row.integer(5)});
        return {};
      });
  if (!done) return done.error();
  return found;
}

base::Result<std::optional<model::FlowTemplate>> find_flow(db::Connection& connection,
                                                           const std::string& name) {
  return read_one<model::FlowTemplate>(connection, sql::select_flow_template,
                                       std::vector{param(name)});
}

base::Result<model::FlowTemplate> load_flow(db::Connection& connection, Id flow) {
  auto row = read_one<model::FlowTemplate>(connection, sql::select_flow_template_by_id,
                                           std::vector{param(flow)});
  if (!row) return row.error();
  if (*row) return **std::move(row);
  return base::Error{.code = base::Code::not_found,
                     .message = fmt::format("there is no flow with id {}", flow)};
}

base::Result<model::FlowVersion> load_flow_version(db::Connection& connection,
                                                   const model::FlowTemplate& flow,
                                                   std::optional<std::int64_t> number) {
  auto row = number ? read_one<model::FlowVersion>(connection, sql::select_flow_version,
                                                   std::vector{param(flow.id), param(*number)})
                    : read_one<model::FlowVersion>(connection, sql::select_latest_flow_version,
                                                   std::vector{param(flow.id)});
  if (!row) return row.error();
  if (*row) return **std::move(row);
  return base::Error{
      .code = base::Code::not_found,
      .message = number ? fmt::format("the flow '{}' has no version {}", flow.name, *number)
                        : fmt::format("the flow '{}' has no version", flow.name),
      .remedy = fmt::format("tertulia flow show {}", flow.name)};
}

base::Result<model::FlowVersion> load_flow_version(db::Connection& connection, Id version) {
  auto row = read_one<model::FlowVersion>(connection, sql::select_flow_version_by_id,
                                          std::vector{param(version)});
  if (!row) return row.error();
  if (*row) return **std::move(row);
  return base::Error{.code = base::Code::not_found,
                     .message = fmt::format("there is no flow version with id {}", version)};
}

base::Result<std::vector<model::FlowVersion>> list_flow_versions(db::Connection& connection,
                                                                 Id flow) {
  return read_all<model::FlowVersion>(connection, sql::list_flow_versions,
                                      std::vector{param(flow)});
}

base::Result<std::vector<model::FlowStep>> load_flow_steps(db::Connection& connection, Id version) {
  return read_all<model::FlowStep>(connection, sql::select_flow_steps, std::vector{param(version)});
}

base::Result<std::vector<model::Role>> list_roles(db::Connection& connection) {
  return read_all<model::Role>(connection, sql::list_roles, {});
}

base::Result<std::optional<model::Role>> find_role(db::Connection& connection,
                                                   const std::string& name) {
  return read_one<model::Role>(connection, sql::select_role, std::vector{param(name)});
}

base::Result<void> save_role(db::Connection& connection, const std::string& name,
                             const std::string& prompt, const std::optional<std::string>& settings,
                             base::Timestamp now) {
  Times times;
  auto done = connection.run(
      sql::upsert_role, std::vector{param(name), param(prompt), param(settings), times.param(now)});
  if (!done) return done.error();
  return {};
}

base::Result<void> delete_role(db::Connection& connection, const std::string& name) {
  auto transaction = db::Transaction::begin(connection);
  if (!transaction) return transaction.error();
  const std::vector<db::Param> params = {param(name)};
  if (auto untied = connection.run(sql::untie_role, params); !untied) return untied.error();
  auto deleted = connection.run(sql::delete_role, params);
  if (!deleted) return deleted.error();
  if (*deleted == 0)
    return base::Error{.code = base::Code::not_found,
                       .message = fmt::format("there is no stored role '{}'", name),
                       .remedy = "tertulia role list"};
  return transaction->commit();
}

base::Result<void> delete_flow(db::Connection& connection, const std::string& name) {
  auto transaction = db::Transaction::begin(connection);
  if (!transaction) return transaction.error();
  auto flow = find_flow(connection, name);
  if (!flow) return flow.error();
  if (!*flow)
    return base::Error{.code = base::Code::not_found,
                       .message = fmt::format("there is no stored flow '{}'", name),
                       .remedy = "tertulia flow list"};
  const std::vector<db::Param> params = {param((*flow)->id)};
  auto uses = db::read_integer(connection, sql::count_flow_uses, params);
  if (!uses) return uses.error();
  if (*uses > 0)
    return base::Error{
        .code = base::Code::conflict,
        .message = fmt::format("{} sessions or batches are of flow '{}'", *uses, name),
        .remedy = "delete them first: their logs refer to its steps"};
  for (const db::Sql* each : {&sql::unchain_flow_steps, &sql::delete_flow_steps,
                              &sql::delete_flow_versions, &sql::delete_flow_template})
    if (auto done = connection.run(*each, params); !done) return done.error();
  return transaction->commit();
}

}  // namespace tertulia::store
