#include "engine/session_data.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/flows.h"
#include "store/sessions.h"

namespace tertulia::engine {
namespace {

namespace json = base::json;

base::Error damaged(std::string what) {
  return {.code = base::Code::storage,
          .message = "the session's flow_snapshot is damaged: " + std::move(what),
          .remedy = "tertulia db verify"};
}

base::Result<FlowSnapshot::EarlierVersion> earlier_version(const json::value& in) {
  FlowSnapshot::EarlierVersion version;
  const auto number = [&](std::string_view pointer, std::int64_t& into) {
    const json::value* found = base::at_pointer(in, pointer);
    if (found == nullptr || !found->is_int64()) return false;
    into = found->get_int64();
    return true;
  };
  const json::value *sha256 = base::at_pointer(in, "/source_sha256"),
                    *header = base::at_pointer(in, "/header");
  if (!number("/version", version.version) || !number("/until", version.until) ||
      !number("/rows", version.rows) || sha256 == nullptr || !sha256->is_string() ||
      header == nullptr || !header->is_object())
    return damaged("one of its earlier_versions lacks a member");
  version.source_sha256 = sha256->get_string();
  version.header = header->get_object();
  return version;
}

}  // namespace

base::Result<std::shared_ptr<const PerformableFlow>> FlowCache::load(db::Connection& connection,
                                                                     Id version,
                                                                     const json::object& header) {
  {
    const std::lock_guard lock(mutex_);
    if (auto known = flows_[version].lock()) {
      keep(known);
      return known;
    }
  }
  auto rows = store::load_flow_steps(connection, version);
  if (!rows) return rows.error();
  auto program = flow::Program::from_rows(header, *rows);
  if (!program) return program.error();
  auto flow = std::make_shared<PerformableFlow>();
  flow->version_id = version;
  flow->program = *std::move(program);
  for (size_t i = 0; i < rows->size(); ++i) {
    flow->step_ids.push_back((*rows)[i].id);
    flow->step_snapshots.push_back(base::to_text(flow->program.spec_json(static_cast<int>(i))));
  }
  const std::lock_guard lock(mutex_);
  flows_[version] = flow;
  keep(flow);
  return Flow(std::move(flow));
}

void FlowCache::keep(const Flow& flow) {
  if (!kept_.empty() && kept_.back() == flow) return;
  std::erase(kept_, flow);
  kept_.push_back(flow);
  if (kept_.size() > kKept) kept_.erase(kept_.begin());
}

std::string FlowSnapshot::to_text() const {
  json::object out;
  out["flow"] = flow;
  out["version"] = version;
  out["source_sha256"] = source_sha256;
  out["header"] = header;
  json::object values;
  for (const auto& [name, value] : variables) values[name] = value;
  out["variables"] = std::move(values);
  out["limits"] = limits.to_json();
  if (!models.empty()) {
    json::object profiles;
    for (const auto& [name, profile] : models) profiles[name] = profile;
    out["models"] = std::move(profiles);
  }
  if (adopted_rows > 0 || adopted_messages > 0)
    out["adopted"] = json::object{{"rows", adopted_rows}, {"messages", adopted_messages}};
  if (branched_from)
    out["branched_from"] =
        json::object{{"session", branched_from->session}, {"order", branched_from->order}};
  if (inherited_rows > 0) out["inherited_rows"] = inherited_rows;
  if (inherited_rehearsal) out["inherited_rehearsal"] = true;
  if (!earlier.empty()) {
    json::array versions;
    for (const EarlierVersion& each : earlier)
      versions.push_back(json::object{{"version", each.version},
                                      {"source_sha256", each.source_sha256},
                                      {"header", each.header},
                                      {"until", each.until},
                                      {"rows", each.rows}});
    out["earlier_versions"] = std::move(versions);
  }
  if (!played.empty()) {
    json::array roles;
    for (const std::string& role : played) roles.emplace_back(role);
    out["played"] = std::move(roles);
  }
  return base::to_text(out);
}

base::Result<FlowSnapshot> FlowSnapshot::from_text(std::string_view text) {
  auto parsed = base::parse_json(text);
  if (!parsed) return damaged(parsed.error().message);
  const json::object* in = parsed->if_object();
  if (in == nullptr) return damaged("it is no object");
  const auto member = [&](const char* name) -> const json::value* { return in->if_contains(name); };
  FlowSnapshot snapshot;
  const json::value *flow = member("flow"), *version = member("version"),
                    *sha256 = member("source_sha256"), *header = member("header"),
                    *variables = member("variables"), *limits = member("limits"),
                    *models = member("models");
  if (!flow || !flow->is_string()) return damaged("no flow");
  if (!version || !version->is_int64()) return damaged("no version");
  if (!sha256 || !sha256->is_string()) return damaged("no source_sha256");
  if (!header || !header->is_object()) return damaged("no header");
  if (!variables || !variables->is_object()) return damaged("no variables");
  if (!limits) return damaged("no limits");
  snapshot.flow = flow->get_string();
  snapshot.version = version->get_int64();
  snapshot.source_sha256 = sha256->get_string();
  snapshot.header = header->get_object();
  for (const auto& each : variables->get_object())
    snapshot.variables.emplace(each.key(), each.value());
  auto read = flow::Limits::from_json(*limits);
  if (!read) return damaged(read.error().message);
  snapshot.limits = *read;
  if (models != nullptr && models->is_object())
    for (const auto& each : models->get_object())
      if (each.value().is_object()) snapshot.models.emplace(each.key(), each.value().get_object());
  const auto number = [&](std::string_view pointer) {
    const json::value* found = base::at_pointer(*parsed, pointer);
    return found != nullptr && found->is_int64() ? found->get_int64() : 0;
  };
  snapshot.adopted_rows = number("/adopted/rows");
  snapshot.adopted_messages = number("/adopted/messages");
  if (member("branched_from") != nullptr)
    snapshot.branched_from = {.session = number("/branched_from/session"),
                              .order = number("/branched_from/order")};
  snapshot.inherited_rows = number("/inherited_rows");
  const json::value* rehearsed = member("inherited_rehearsal");
  snapshot.inherited_rehearsal =
      rehearsed != nullptr && rehearsed->is_bool() && rehearsed->get_bool();
  if (const json::value* earlier = member("earlier_versions"); earlier != nullptr) {
    if (!earlier->is_array()) return damaged("earlier_versions is no list");
    for (const json::value& each : earlier->get_array()) {
      auto before = earlier_version(each);
      if (!before) return before.error();
      snapshot.earlier.push_back(*std::move(before));
    }
  }
  if (const json::value* played = member("played"); played != nullptr && played->is_array())
    for (const json::value& role : played->get_array())
      if (role.is_string()) snapshot.played.emplace(role.get_string());
  return snapshot;
}

const PerformableFlow& SessionData::flow_of_row(std::int64_t order) const {
  for (std::size_t i = 0; i < earlier.size(); ++i)
    if (order <= snapshot.earlier[i].rows) return *earlier[i];
  return *flow;
}

const flow::Instruction* SessionData::step_of(const model::StepExecutionLog& row) const {
  const PerformableFlow& version = flow_of_row(row.execution_order);
  const auto found = std::find(version.step_ids.begin(), version.step_ids.end(), row.step_id);
  if (found == version.step_ids.end()) return nullptr;
  return &version.program.steps[static_cast<std::size_t>(found - version.step_ids.begin())];
}

bool SessionData::is_rehearsed() const {
  if (snapshot.inherited_rehearsal) return true;
  const auto rehearses = [](const json::object& model) {
    const json::value* provider = model.if_contains("provider");
    return provider != nullptr && provider->is_string() && provider->get_string() == "rehearsal";
  };
  for (const auto& role : cast.roles)
    if (rehearses(role.model)) return true;
  for (const auto& [name, model] : snapshot.models)
    if (rehearses(model)) return true;
  return false;
}

base::Result<SessionData> load_session_data(db::Connection& connection, FlowCache& flows,
                                            Id session) {
  auto row = store::load_session(connection, session);
  if (!row) return row.error();
  if (!row->flow_version_id || !row->flow_snapshot || !row->roles_snapshot)
    return base::Error{
        .code = base::Code::invalid,
        .message = fmt::format("session {} was not made by this program and cannot be performed",
                               session)};
  auto snapshot = FlowSnapshot::from_text(*row->flow_snapshot);
  if (!snapshot) return snapshot.error();
  auto cast = flow::Cast::from_text(*row->roles_snapshot);
  if (!cast) return cast.error();
  auto flow = flows.load(connection, *row->flow_version_id, snapshot->header);
  if (!flow) return flow.error();
  auto roles = store::load_session_roles(connection, session);
  if (!roles) return roles.error();
  SessionData data;
  for (const auto& before : snapshot->earlier) {
    auto its_flow = store::load_flow(connection, row->flow_template_id.value_or(0));
    if (!its_flow) return its_flow.error();
    auto version = store::load_flow_version(connection, *its_flow, before.version);
    if (!version) return version.error();
    auto performed = flows.load(connection, version->id, before.header);
    if (!performed) return performed.error();
    data.earlier.push_back(*std::move(performed));
  }
  data.id = session;
  data.topic = row->topic.value_or("");
  data.seed = static_cast<std::uint64_t>(row->seed.value_or(0));
  data.flow_name = snapshot->flow;
  data.flow_version = snapshot->version;
  data.flow = *std::move(flow);
  data.snapshot = *std::move(snapshot);
  data.cast = *std::move(cast);
  for (const auto& role : *roles) {
    data.role_ids.emplace(role.role_ref, role.id);
    data.role_refs.emplace(role.id, role.role_ref);
  }
  return data;
}

flow::ReplayInput replay_input(const SessionData& session, flow::State stored,
                               std::vector<model::StepExecutionLog> log,
                               const std::vector<model::Message>& messages) {
  flow::ReplayInput input;
  input.program = &session.program();
  input.step_ids = session.flow->step_ids;
  for (std::size_t i = 0; i < session.earlier.size(); ++i)
    input.earlier.push_back({.program = &session.earlier[i]->program,
                             .step_ids = session.earlier[i]->step_ids,
                             .until = session.snapshot.earlier[i].until});
  input.variables = session.snapshot.variables;
  input.log = std::move(log);
  for (const auto& message : messages) input.messages.push_back(to_said(message, session));
  input.topic = session.topic;
  input.seed = session.seed;
  input.played = session.snapshot.played;
  input.stored = std::move(stored);
  input.adopted_rows = session.snapshot.adopted_rows;
  input.adopted_messages = session.snapshot.adopted_messages;
  return input;
}

flow::Said to_said(const model::Message& message, const SessionData& session) {
  flow::Said said;
  said.position = message.position.value_or(0);
  if (message.speaker_session_role_id) {
    const auto role = session.role_refs.find(*message.speaker_session_role_id);
    if (role != session.role_refs.end()) said.role = role->second;
  }
  said.text = message.content;
  said.round = message.round_index;
  said.document = message.document.value_or("");
  said.document_version = message.document_version.value_or(0);
  said.id = message.id;
  return said;
}

}  // namespace tertulia::engine
