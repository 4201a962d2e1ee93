#include "adopt/flows.h"

#include <fmt/format.h>

#include <algorithm>

#include "adopt/translate.h"
#include "base/sha256.h"
#include "flow/check.h"
#include "schema/adoption.h"
#include "store/param.h"
#include "store/read.h"

namespace tertulia::adopt {
namespace {

namespace note = schema::note;

constexpr std::string_view kTemplatesText = "SELECT * FROM flow_templates ORDER BY id";
constexpr db::Sql kTemplates{
    .name = "adopt_templates", .sqlite = kTemplatesText, .postgres = kTemplatesText};
constexpr std::string_view kStepsText =
    "SELECT * FROM flow_steps WHERE flow_template_id = $1 ORDER BY \"order\", id";
constexpr db::Sql kSteps{.name = "adopt_steps", .sqlite = kStepsText, .postgres = kStepsText};
constexpr std::string_view kVersionText =
    "INSERT INTO flow_versions (flow_template_id, number, source_format, source, source_sha256, "
    "created_at) VALUES ($1, 1, 'yaml', $2, $3, $4) RETURNING id";
constexpr db::Sql kVersion{
    .name = "adopt_version", .sqlite = kVersionText, .postgres = kVersionText};
constexpr std::string_view kOldStepText =
    "UPDATE flow_steps SET flow_version_id = $2, \"order\" = $3, kind = $4, name = $5, spec = $6 "
    "WHERE id = $1 RETURNING id";
constexpr db::Sql kOldStep{
    .name = "adopt_old_step", .sqlite = kOldStepText, .postgres = kOldStepText};
constexpr std::string_view kNewStepText =
    "INSERT INTO flow_steps (flow_template_id, flow_version_id, \"order\", kind, name, spec) "
    "VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
constexpr db::Sql kNewStep{
    .name = "adopt_new_step", .sqlite = kNewStepText, .postgres = kNewStepText};
constexpr std::string_view kLostTemplateText =
    "INSERT INTO flow_templates (id, name, description, is_active, created_at, updated_at) "
    "VALUES ($1, $2, $3, FALSE, $4, $4) RETURNING id";
constexpr db::Sql kLostTemplate{
    .name = "adopt_lost_template", .sqlite = kLostTemplateText, .postgres = kLostTemplateText};

base::Result<model::Id> returned_id(db::Connection& connection, const db::Sql& sql,
                                    db::Params params) {
  model::Id id = 0;
  auto done = connection.each(sql, params, [&](const db::Row& row) -> base::Result<void> {
    id = row.integer(0);
    return {};
  });
  if (!done) return done.error();
  return id;
}

// A description that the template had in the older system stands among the leftovers: its place is
// the title's.
base::Result<std::string> old_description(db::Connection& connection, model::Id id) {
  std::string text;
  const std::array<db::Param, 1> params = {id};
  auto done = connection.each_text(
      "SELECT value FROM adopted_leftovers WHERE table_name = 'flow_templates' AND "
      "column_name = 'description' AND row_id = $1",
      params, [&](const db::Row& row) -> base::Result<void> {
        text = row.text(0);
        return {};
      });
  if (!done) return done.error();
  return text;
}

base::Result<void> store_version(db::Connection& connection, AdoptedFlow& flow,
                                 const std::string& source, base::Timestamp now) {
  store::Times times;
  model::FlowVersion& version = flow.version;
  version = {.id = 0,
             .flow_template_id = flow.template_id,
             .number = 1,
             .source_format = "yaml",
             .source = source,
             .source_sha256 = base::sha256_hex(source),
             .created_at = now};
  const std::array<db::Param, 4> params = {flow.template_id, std::string_view(version.source),
                                           std::string_view(version.source_sha256),
                                           times.param(now)};
  auto id = returned_id(connection, kVersion, params);
  if (!id) return id.error();
  version.id = *id;
  return {};
}

// The old rows become the speak steps of the version, in order; what the language needs between
// them gets rows of its own.
base::Result<void> store_steps(db::Connection& connection, AdoptedFlow& flow,
                               const std::vector<model::FlowStep>& old_steps) {
  std::size_t next = 0;
  for (const model::FlowStep& row : flow.program.to_rows()) {
    const bool is_old = row.kind == "speak";
    const model::FlowStep* old = is_old ? &old_steps[next++] : nullptr;
    if (old != nullptr && old->order != row.order)
      if (auto kept = schema::keep_leftover(connection, "flow_steps", old->id, "order",
                                            std::to_string(old->order));
          !kept)
        return kept;
    const std::array<db::Param, 6> params = {old != nullptr ? old->id : flow.template_id,
                                             flow.version.id,
                                             row.order,
                                             store::param(row.kind),
                                             store::param(row.name),
                                             store::param(row.spec)};
    auto id = returned_id(connection, is_old ? kOldStep : kNewStep, params);
    if (!id) return id.error();
    flow.step_ids.push_back(*id);
  }
  return {};
}

// A version that sessions can refer to and that nothing can perform.
base::Result<void> make_readable_only(db::Connection& connection, AdoptedFlow& flow,
                                      std::string why, base::Timestamp now) {
  flow.why_not = std::move(why);
  flow.program = {};
  flow.program.name = flow_name(flow.template_id);
  flow.program.title = flow.title;
  flow.program.entry = flow::Instruction::kEnd;
  return store_version(connection, flow,
                       fmt::format("# This template of the older system could not be made a flow: "
                                   "{}\n",
                                   flow.why_not),
                       now);
}

}  // namespace

base::Result<Flows> Flows::adopt(db::Connection& connection, const std::vector<model::Role>& roles,
                                 base::Timestamp now) {
  auto templates = store::read_all<model::FlowTemplate>(connection, kTemplates, {});
  if (!templates) return templates.error();
  std::vector<std::string> role_names;
  for (const auto& role : roles) role_names.push_back(role.name);
  Flows flows;
  for (const auto& row : *templates) {
    AdoptedFlow flow;
    flow.template_id = row.id;
    flow.title = row.description.value_or("");
    const std::array<db::Param, 1> params = {row.id};
    auto steps = store::read_all<model::FlowStep>(connection, kSteps, params);
    if (!steps) return steps.error();
    auto description = old_description(connection, row.id);
    if (!description) return description.error();
    auto translation = translate({.id = row.id,
                                  .title = flow.title,
                                  .description = *description,
                                  .topic = row.topic,
                                  .steps = *steps},
                                 roles);
    const auto tell = [&](std::string_view kind, std::string_view table, model::Id id,
                          std::string_view column, std::string words) {
      return schema::write_note(
          connection,
          {.kind = kind, .table = table, .row = id, .column = column, .words = std::move(words)},
          now);
    };
    std::string why_not;
    if (!translation) {
      why_not = translation.error().message;
    } else {
      flow::CheckOptions options;
      options.stored_roles = role_names;
      auto checked = flow::check_flow(translation->source, options);
      if (checked.ok()) {
        flow.program = *std::move(checked.program);
      } else {
        const auto problem = std::find_if(
            checked.problems.begin(), checked.problems.end(),
            [](const auto& each) { return each.severity == flow::Problem::Severity::error; });
        why_not = problem == checked.problems.end() ? "it does not compile" : problem->message;
      }
    }
    if (why_not.empty()) {
      if (auto stored = store_version(connection, flow, translation->source, now); !stored)
        return stored.error();
      if (auto stored = store_steps(connection, flow, *steps); !stored) return stored.error();
      for (const Remark& remark : translation->remarks)
        if (auto told =
                tell(note::kIgnored, "flow_steps", remark.step, remark.column, remark.words);
            !told)
          return told.error();
      if (auto told = tell(note::kAdopted, "flow_templates", row.id, {},
                           fmt::format("it is the flow {} now, version 1, of {} steps",
                                       flow_name(row.id), steps->size()));
          !told)
        return told.error();
    } else {
      if (auto made = make_readable_only(connection, flow, why_not, now); !made)
        return made.error();
      if (auto told = tell(note::kUnfit, "flow_templates", row.id, {},
                           fmt::format("it could not be made a flow: {}", why_not));
          !told)
        return told.error();
    }
    flows.flows_.push_back(std::move(flow));
  }
  return flows;
}

base::Result<const AdoptedFlow*> Flows::of_template(db::Connection& connection,
                                                    std::optional<model::Id> id,
                                                    base::Timestamp now) {
  for (const AdoptedFlow& each : flows_)
    if (id && each.template_id == *id) return &each;
  // Key 0: of sessions that name no template.
  const model::Id key = id.value_or(0);
  if (const auto known = lost_.find(key); known != lost_.end()) return &known->second;
  store::Times times;
  AdoptedFlow flow;
  flow.title = id ? fmt::format("(lost template {})", *id) : "(no template)";
  const std::string name = id ? flow_name(*id) : "adopted-without-template";
  const std::array<db::Param, 4> params = {id ? db::Param(*id) : db::Param(nullptr),
                                           std::string_view(name), std::string_view(flow.title),
                                           times.param(now)};
  auto made = returned_id(connection, kLostTemplate, params);
  if (!made) return made.error();
  flow.template_id = *made;
  if (auto readable = make_readable_only(
          connection, flow, id ? "its template is not in the file" : "it names none", now);
      !readable)
    return readable.error();
  if (auto told = schema::write_note(
          connection,
          {.kind = note::kMissing,
           .table = "flow_templates",
           .row = flow.template_id,
           .column = {},
           .words = "sessions name a template that is not in the file: this row stands for it"},
          now);
      !told)
    return told.error();
  return &lost_.emplace(key, std::move(flow)).first->second;
}

}  // namespace tertulia::adopt
