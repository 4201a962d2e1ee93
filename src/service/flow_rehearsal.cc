#include "service/flow_rehearsal.h"

#include "engine/dry_session.h"
#include "engine/flow_coverage.h"
#include "service/role_library.h"

namespace tertulia::service {
namespace {

namespace json = base::json;

json::array ways_json(const flow::Program& program, const std::set<engine::FlowWay>& reached) {
  json::array all;
  for (const engine::FlowWay& way : engine::ways_of(program)) {
    const flow::Instruction& step = program.steps[static_cast<std::size_t>(way.instruction)];
    json::object item;
    item["step"] = step.label();
    item["kind"] = step.kind();
    item["path"] = step.path;
    if (!way.way.empty()) item["way"] = way.way;
    item["reached"] = reached.count(way) > 0;
    all.push_back(std::move(item));
  }
  return all;
}

// Whatever profile a role names, it is not asked.
base::Result<llm::ModelProfile> rehearsed_profile(const std::string& name) {
  auto profile = llm::parse_model_spec("rehearsal");
  if (profile) profile->name = name;
  return profile;
}

}  // namespace

base::Result<json::object> rehearse_json(db::Connection& reader, const flow::Program& program,
                                         const SessionWishes& wishes, bool cover,
                                         const engine::ProviderSource& providers) {
  const model::FlowVersion version;
  const engine::CastingCall call = casting_call(program, version, wishes, {});
  engine::WayNotes notes(program);
  std::map<std::int64_t, std::string> labels;  // by order
  json::array said;
  const auto note = [&](const flow::Effect& effect) {
    notes.note(effect);
    if (const auto* row = std::get_if<flow::OpenRow>(&effect))
      labels[row->order] = program.steps[static_cast<std::size_t>(row->instruction)].label();
    if (const auto* words = std::get_if<flow::Say>(&effect)) {
      const flow::RoleDeclaration* role = program.role(words->role);
      json::object item;
      item["order"] = words->order;
      item["step"] = labels[words->order];
      item["speaker"] = role == nullptr || role->name.empty() ? words->role : role->name;
      item["text"] = words->text;
      said.push_back(std::move(item));
    }
  };
  auto ended =
      engine::perform_dry(call, rehearsed_profile, roles_of(reader), providers, {.note = note});
  if (!ended) return ended.error();

  std::set<engine::FlowWay> reached = notes.taken();
  int sessions = 1;
  bool is_cut_short = ended->reason == model::StopReason::limit_steps;
  if (cover) {
    auto coverage = engine::cover_flow(call, rehearsed_profile, roles_of(reader), providers);
    if (!coverage) return coverage.error();
    reached.insert(coverage->reached.begin(), coverage->reached.end());
    sessions = coverage->sessions;
    is_cut_short = is_cut_short || coverage->is_cut_short;
  }
  json::object out;
  out["flow"] = program.name;
  out["seed"] = call.seed;
  out["status"] = model::to_text(ended->status);
  if (ended->reason) out["stop_reason"] = model::to_text(*ended->reason);
  out["calls"] = ended->calls;
  out["said"] = std::move(said);
  out["ways"] = ways_json(program, reached);
  out["sessions"] = sessions;
  out["cut_short"] = is_cut_short;
  return out;
}

}  // namespace tertulia::service
