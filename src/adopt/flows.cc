#include "adopt/flows.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "adopt/translate.h"
#include "base/sha256.h"
#include "db/value.h"
#include "flow/check.h"
#include "schema/adoption.h"
#include "store/param.h"
#include "store/read.h"
#include "store/sql.h"

namespace tertulia::adopt {
namespace {

namespace note = schema::note;
namespace sql = store::sql;

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
  const std::array<db::Param, 6> params = {version.flow_template_id,
                                           version.number,
                                           store::param(version.source_format),
                                           std::string_view(version.source),
                                           std::string_view(version.source_sha256),
                                           times.param(now)};
  auto id = db::read_integer(connection, sql::insert_flow_version, params);
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
    auto id = db::read_integer(
        connection, is_old ? sql::adopt_flow_step : sql::insert_adopted_flow_step, params);
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
  auto templates =
      store::read_all<model::FlowTemplate>(connection, sql::select_adopted_templates, {});
  if (!templates) return templates.error();
  std::vector<std::string> role_names;
  for (const auto& role : roles) role_names.push_back(role.name);
  Flows flows;
  for (const auto& row : *templates) {
    AdoptedFlow flow;
    flow.template_id = row.id;
    flow.title = row.description.value_or("");
    const std::array<db::Param, 1> params = {row.id};
    auto steps = store::read_all<model::FlowStep>(connection, sql::select_adopted_steps, params);
    if (!steps) return steps.error();
    // A description that it had stands among the leftovers: its place is the title's.
    auto description = db::read_text(connection, sql::select_old_flow_description, params);
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
  auto made = db::read_integer(connection, sql::insert_lost_flow_template, params);
  if (!made) return made.error();
  flow.template_id = *made;
  if (auto readable = make_readable_only(
          connection, flow, id ? "it is not in the file" : "the session names none", now);
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
