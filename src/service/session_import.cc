#include "service/session_import.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "engine/explain.h"
#include "service/session_archive.h"
#include "service/shipped_flows.h"
#include "store/flows.h"

namespace tertulia::service {
namespace {

namespace json = base::json;
using model::Id;

class Import final {
 public:
  Import(ArchivedSession archived, const engine::ProviderSource& providers,
         const engine::ProfileSource& profiles)
      : providers_(providers),
        profiles_(profiles),
        whole_(std::move(archived.whole)),
        flow_(std::move(archived.flow)) {}

  base::Result<ImportedSession> run(db::Connection& connection) {
    if (auto good = read_snapshots(); !good) return good.error();
    auto transaction = db::Transaction::begin(connection);
    if (!transaction) return transaction.error();
    if (auto done = find_flow(connection); !done) return done.error();
    if (auto done = move_to_flow(connection); !done) return done.error();
    imported_.from = whole_.row.id;
    imported_.rows = static_cast<std::int64_t>(whole_.log.size());
    imported_.messages = static_cast<std::int64_t>(whole_.messages.size());
    auto id = store::insert_whole_session(connection, whole_);
    if (!id) return id.error();
    imported_.session = *id;
    if (auto proved = prove(connection); !proved) return proved.error();
    if (auto done = transaction->commit(); !done) return done.error();
    return std::move(imported_);
  }

 private:
  base::Result<void> read_snapshots() {
    auto snapshot = engine::FlowSnapshot::from_text(whole_.row.flow_snapshot.value_or(""));
    if (!snapshot) return snapshot.error().in("flow_snapshot");
    snapshot_ = *std::move(snapshot);
    auto cast = flow::Cast::from_text(whole_.row.roles_snapshot.value_or(""));
    if (!cast) return cast.error().in("cast");
    cast_ = *std::move(cast);
    if (auto state = flow::State::from_text(whole_.state); !state)
      return state.error().in("machine_state");
    if (auto program = flow::Program::from_rows(snapshot_.header, flow_.current.steps); !program)
      return program.error().in("flow_source.steps");
    if (snapshot_.earlier.size() != flow_.earlier.size())
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("flow_source.earlier has {} versions, and "
                                                "flow_snapshot.earlier_versions {}",
                                                flow_.earlier.size(), snapshot_.earlier.size())};
    for (std::size_t i = 0; i < flow_.earlier.size(); ++i)
      if (auto program =
              flow::Program::from_rows(snapshot_.earlier[i].header, flow_.earlier[i].steps);
          !program)
        return program.error().in(fmt::format("flow_source.earlier[{}].steps", i));
    for (flow::CastRole& role : cast_.roles) keep_own_keys_only(role.profile, role.model);
    for (auto& [name, model] : snapshot_.models) keep_own_keys_only(name, model);
    return {};
  }

  // A file may name any address. The key of this machine goes there only if this machine's own
  // configuration says so of the profile of that name.
  void keep_own_keys_only(const std::string& name, json::object& model) {
    const json::value* key = model.if_contains("key");
    if (key == nullptr) return;
    if (auto own = profiles_(name)) {
      const json::object ours = own->to_json();
      const auto same = [&](const char* member) {
        const json::value *a = ours.if_contains(member), *b = model.if_contains(member);
        return a == nullptr ? b == nullptr : b != nullptr && base::equal(*a, *b);
      };
      if (same("key") && same("base_url") && same("provider")) return;
    }
    model.erase("key");
    if (std::find(imported_.without_key.begin(), imported_.without_key.end(), name) ==
        imported_.without_key.end())
      imported_.without_key.push_back(name);
  }

  // The flow's versions, those before the session's own first.
  [[nodiscard]] std::vector<const ArchivedVersion*> versions() const {
    std::vector<const ArchivedVersion*> all;
    for (const ArchivedVersion& each : flow_.earlier) all.push_back(&each);
    all.push_back(&flow_.current);
    return all;
  }

  // The versions with these very texts, under the flow's name or the name of earlier imports; else
  // they are stored. What `run NAME` performs is not changed: where the name is taken by another
  // text, the import has a name of its own.
  base::Result<void> find_flow(db::Connection& connection) {
    const std::string apart = flow_.flow.name + "-imported";
    // A shipped flow is this program's own; any other text under its name is not.
    const ShippedFlow* shipped = find_shipped_flow(flow_.flow.name);
    const bool is_shipped = shipped != nullptr && shipped->source == flow_.current.version.source;
    bool is_free = shipped == nullptr || is_shipped;
    for (const std::string& name : {flow_.flow.name, apart}) {
      auto known = store::find_flow(connection, name);
      if (!known) return known.error();
      if (!*known) continue;
      if (name == flow_.flow.name) is_free = false;
      here_.clear();
      for (const ArchivedVersion* each : versions()) {
        auto same = find_version(connection, (*known)->id, *each);
        if (!same) return same.error();
        if (*same) here_.push_back(**std::move(same));
      }
      if (here_.size() == versions().size()) return use(name);
    }
    const std::string name = is_free ? flow_.flow.name : apart;
    here_.clear();
    for (const ArchivedVersion* each : versions())
      if (auto done =
              store_version(connection, name, is_shipped ? kShippedOrigin : "imported", *each);
          !done)
        return done;
    return use(name);
  }

  base::Result<std::optional<model::FlowVersion>> find_version(db::Connection& connection,
                                                               Id template_id,
                                                               const ArchivedVersion& wanted) {
    auto known = store::list_flow_versions(connection, template_id);
    if (!known) return known.error();
    for (model::FlowVersion& version : *known) {
      if (version.source_sha256 != wanted.version.source_sha256) continue;
      auto steps = store::load_flow_steps(connection, version.id);
      if (!steps) return steps.error();
      if (std::equal(steps->begin(), steps->end(), wanted.steps.begin(), wanted.steps.end(),
                     [](const model::FlowStep& a, const model::FlowStep& b) {
                       return a.kind == b.kind && a.spec == b.spec;
                     }))
        return std::optional(std::move(version));
    }
    return std::optional<model::FlowVersion>();
  }

  base::Result<void> store_version(db::Connection& connection, const std::string& name,
                                   std::string_view origin, const ArchivedVersion& archived) {
    auto known = store::find_flow(connection, name);
    if (!known) return known.error();
    if (*known) {
      auto same = find_version(connection, (*known)->id, archived);
      if (!same) return same.error();
      if (*same) {
        here_.push_back(**std::move(same));
        return {};
      }
    }
    store::NewFlowVersion wanted;
    wanted.name = name;
    wanted.title = flow_.flow.description.value_or(flow_.flow.name);
    wanted.topic = flow_.flow.topic.value_or("");
    wanted.origin = origin;
    wanted.source_format = archived.version.source_format;
    wanted.source = archived.version.source;
    wanted.steps = archived.steps;
    wanted.now = base::Clock::system().now();
    auto saved = store::save_flow_within(connection, wanted);
    if (!saved) return saved.error();
    if (&archived == &flow_.current) imported_.flow_is_new = true;
    here_.push_back(std::move(saved->version));
    return {};
  }

  base::Result<void> use(const std::string& name) {
    const model::FlowVersion& version = here_.back();
    whole_.row.flow_template_id = version.flow_template_id;
    whole_.row.flow_version_id = version.id;
    imported_.flow = name;
    imported_.flow_version = version.number;
    return {};
  }

  // From the ids of the steps there to those of the steps here; snapshots and library likewise.
  base::Result<void> move_to_flow(db::Connection& connection) {
    std::map<Id, Id> here;
    for (std::size_t i = 0; i < here_.size(); ++i) {
      auto steps = store::load_flow_steps(connection, here_[i].id);
      if (!steps) return steps.error();
      const auto& there = versions()[i]->steps;
      for (std::size_t k = 0; k < steps->size(); ++k) here.emplace(there[k].id, (*steps)[k].id);
    }
    for (auto& row : whole_.log) {
      const auto step = here.find(row.step_id);
      if (step == here.end())
        return base::Error{.code = base::Code::invalid,
                           .message = fmt::format("step_execution_logs[{}].step_id is {}, which is "
                                                  "no step of its flow",
                                                  row.execution_order - 1, row.step_id)};
      row.step_id = step->second;
    }
    if (whole_.row.current_step_id) {
      const auto step = here.find(*whole_.row.current_step_id);
      whole_.row.current_step_id = step == here.end() ? std::nullopt : std::optional(step->second);
    }
    for (auto& role : whole_.roles) role.role_id.reset();  // the library is another one
    snapshot_.flow = imported_.flow;
    snapshot_.version = imported_.flow_version;
    for (std::size_t i = 0; i < snapshot_.earlier.size(); ++i)
      snapshot_.earlier[i].version = here_[i].number;
    snapshot_.branched_from.reset();  // a number of the other database's
    whole_.row.flow_snapshot = snapshot_.to_text();
    whole_.row.roles_snapshot = cast_.to_text();
    return {};
  }

  // What the file says happened is performed again, before it counts.
  base::Result<void> prove(db::Connection& connection) {
    engine::FlowCache flows;
    auto explanation = engine::explain(connection, flows, imported_.session, providers_);
    if (!explanation) return explanation.error();
    if (explanation->agrees()) return {};
    const auto& first = explanation->replay.disagreements.empty()
                            ? explanation->request_disagreements.front()
                            : explanation->replay.disagreements.front();
    return base::Error{
        .code = base::Code::invalid,
        .message = fmt::format(
            "its log does not explain it: {}: {}",
            first.order == 0 ? std::string("the final state") : fmt::format("step {}", first.order),
            first.what),
        .remedy = "see whether it does where it comes from: tertulia session replay ID"};
  }

  const engine::ProviderSource& providers_;
  const engine::ProfileSource& profiles_;
  store::WholeSession whole_;
  ArchivedFlow flow_;
  std::vector<model::FlowVersion> here_;  // what its versions are here
  engine::FlowSnapshot snapshot_;
  flow::Cast cast_;
  ImportedSession imported_;
};

}  // namespace

base::Result<ImportedSession> import_session(db::Connection& writer, std::string_view text,
                                             const engine::ProviderSource& providers,
                                             const engine::ProfileSource& profiles) {
  auto archived = read_archive(text);
  if (!archived) return archived.error();
  return Import(*std::move(archived), providers, profiles).run(writer);
}

json::object imported_json(const ImportedSession& imported) {
  json::object out;
  out["session_id"] = imported.session;
  out["imported_from"] = imported.from;
  out["flow"] = imported.flow;
  out["flow_version"] = imported.flow_version;
  out["flow_is_new"] = imported.flow_is_new;
  out["rows"] = imported.rows;
  out["messages"] = imported.messages;
  json::array names;
  for (const auto& name : imported.without_key) names.emplace_back(name);
  out["profiles_without_key"] = std::move(names);
  return out;
}

ImportedSession imported_from_json(const json::value& value) {
  const auto read = [&](std::string_view pointer, std::int64_t& into) {
    const json::value* found = base::at_pointer(value, pointer);
    if (found != nullptr && found->is_int64()) into = found->get_int64();
  };
  ImportedSession imported;
  read("/session_id", imported.session);
  read("/imported_from", imported.from);
  read("/flow_version", imported.flow_version);
  read("/rows", imported.rows);
  read("/messages", imported.messages);
  if (const json::value* flow = base::at_pointer(value, "/flow"); flow && flow->is_string())
    imported.flow = flow->get_string();
  if (const json::value* is_new = base::at_pointer(value, "/flow_is_new"))
    imported.flow_is_new = *is_new == json::value(true);
  if (const json::value* names = base::at_pointer(value, "/profiles_without_key");
      names != nullptr && names->is_array())
    for (const json::value& name : names->get_array())
      if (name.is_string()) imported.without_key.emplace_back(name.get_string());
  return imported;
}

}  // namespace tertulia::service
