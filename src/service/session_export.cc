#include "service/session_export.h"

#include <fmt/format.h>

#include "engine/session_data.h"
#include "service/session_archive.h"
#include "service/session_html.h"
#include "store/flows.h"
#include "store/whole_session.h"

namespace tertulia::service {
namespace {

namespace json = base::json;

struct Exported {
  store::WholeSession whole;
  engine::SessionData session;
};

base::Result<Exported> load_exported(db::Connection& reader, model::Id id) {
  engine::FlowCache flows;
  auto session = engine::load_session_data(reader, flows, id);
  if (!session) return session.error();
  auto whole = store::load_whole_session(reader, id);
  if (!whole) return whole.error();
  return Exported{*std::move(whole), *std::move(session)};
}

base::Result<ArchivedVersion> load_version(db::Connection& reader, model::Id id) {
  auto version = store::load_flow_version(reader, id);
  if (!version) return version.error();
  auto steps = store::load_flow_steps(reader, id);
  if (!steps) return steps.error();
  return ArchivedVersion{*std::move(version), *std::move(steps)};
}

base::Result<ArchivedFlow> load_flow_of(db::Connection& reader,
                                        const engine::SessionData& session) {
  ArchivedFlow archived;
  auto current = load_version(reader, session.flow->version_id);
  if (!current) return current.error();
  archived.current = *std::move(current);
  auto flow = store::load_flow(reader, archived.current.version.flow_template_id);
  if (!flow) return flow.error();
  archived.flow = *std::move(flow);
  for (const auto& each : session.earlier) {
    auto earlier = load_version(reader, each->version_id);
    if (!earlier) return earlier.error();
    archived.earlier.push_back(*std::move(earlier));
  }
  return archived;
}

json::object head_json(const Exported& exported) {
  json::object out;
  out["session_id"] = exported.whole.row.id;
  out["flow"] = exported.session.flow_name;
  out["flow_version"] = exported.session.flow_version;
  out["topic"] = exported.session.topic;
  out["status"] = model::to_text(exported.whole.row.status);
  if (exported.whole.row.stop_reason)
    out["stop_reason"] = model::to_text(*exported.whole.row.stop_reason);
  out["rehearsal"] = exported.session.is_rehearsed();
  out["seed"] = exported.whole.row.seed.value_or(0);
  out["created_at"] = base::to_iso8601(exported.whole.row.created_at);
  if (exported.whole.row.ended_at) out["ended_at"] = base::to_iso8601(*exported.whole.row.ended_at);
  if (exported.whole.row.result)
    if (auto result = base::parse_json(*exported.whole.row.result))
      out["result"] = *std::move(result);
  return out;
}

std::string as_markdown(const Exported& exported) {
  const flow::Program& program = exported.session.program();
  std::string text = fmt::format("# {}\n\n", program.title);
  if (!exported.session.topic.empty()) text += exported.session.topic + "\n\n";
  if (exported.session.is_rehearsed())
    text += "> Rehearsal: spoken by the built-in stand-in, not by a model.\n\n";
  text += fmt::format("Session {} of the flow {} (version {}), {}.\n", exported.whole.row.id,
                      exported.session.flow_name, exported.session.flow_version,
                      model::to_text(exported.whole.row.status));
  std::int64_t round = 0;
  for (const auto& message : exported.whole.messages) {
    if (message.round_index != round) {
      round = message.round_index;
      text += fmt::format("\n## Round {}\n", round);
    }
    const flow::Said said = engine::to_said(message, exported.session);
    const flow::CastRole* role = exported.session.cast.find(said.role);
    text += fmt::format("\n**{}**", role != nullptr ? role->name : said.role);
    if (said.document_version > 0)
      text += fmt::format(" (document {}, version {})", said.document, said.document_version);
    text += "\n\n";
    auto value = base::parse_json(said.text);
    text += value && value->is_object() ? "```json\n" + base::to_pretty_text(*value) + "\n```\n"
                                        : said.text + "\n";
  }
  return text;
}

}  // namespace

base::Result<std::string> export_session(db::Connection& reader, model::Id session,
                                         const std::string& format) {
  const bool is_archive = format == "json" || format == "jsonl";
  if (!is_archive && format != "md" && format != "html")
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("there is no format '{}'", format),
                       .remedy = "the formats are md, html, json and jsonl"};
  auto exported = load_exported(reader, session);
  if (!exported) return exported.error();
  if (is_archive) {
    auto flow = load_flow_of(reader, exported->session);
    if (!flow) return flow.error();
    const json::object archive =
        to_archive(head_json(*exported), exported->whole, *flow, exported->session);
    return (format == "json" ? base::to_pretty_text(archive) : base::to_text(archive)) + "\n";
  }
  // For people: what has its place in the conversation.
  std::erase_if(exported->whole.messages,
                [](const auto& message) { return message.position.value_or(1) < 0; });
  return format == "html" ? session_page(exported->whole, exported->session)
                          : as_markdown(*exported);
}

}  // namespace tertulia::service
