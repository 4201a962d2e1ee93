#include "service/flow_library.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "base/near_name.h"
#include "service/shipped_flows.h"

namespace tertulia::service {
namespace {

namespace json = base::json;

base::Error no_flow(const std::string& name, const std::vector<std::string>& known) {
  const std::string near = base::near_name(name, known);
  return {.code = base::Code::not_found,
          .message =
              fmt::format("there is no flow '{}'{}", name,
                          near.empty() ? std::string() : fmt::format("; did you mean '{}'?", near)),
          .remedy =
              "tertulia flow list shows what there is; a file is named with its ending, such "
              "as my-flow.yaml"};
}

// Checks texts with the flows that they call.
class Check final {
 public:
  explicit Check(const FlowSurroundings& surroundings) : surroundings_(surroundings) {}

  // `calling`: the flows that call each other down to this one.
  flow::CheckedFlow run(const FlowText& text, const std::vector<std::string>& calling) {
    flow::CheckOptions options;
    if (surroundings_.read_file && !text.folder.empty())
      options.read_file = [&](const std::string& name) {
        return surroundings_.read_file(text, name);
      };
    options.profiles = surroundings_.profiles;
    if (surroundings_.find_flow)
      options.find_flow = [&](const std::string& name) { return find_called(text, name, calling); };
    return flow::check_flow(text.source, options);
  }

 private:
  using Called = base::Result<std::shared_ptr<const flow::Program>>;

  // A flow that is called in several places is checked once.
  Called find_called(const FlowText& caller, const std::string& name,
                     const std::vector<std::string>& calling) {
    if (std::find(calling.begin(), calling.end(), name) != calling.end())
      return base::Error{.code = base::Code::invalid,
                         .message = fmt::format("flows call each other in a circle: {} -> {}",
                                                fmt::join(calling, " -> "), name)};
    if (calling.size() >= static_cast<std::size_t>(flow::kMaxCallDepth))
      return base::Error{
          .code = base::Code::invalid,
          .message = fmt::format("calls are nested {} deep at most", flow::kMaxCallDepth)};
    const auto key = std::pair(caller.folder, name);
    if (const auto known = checked_.find(key); known != checked_.end()) return known->second;
    Called called = check_called(caller, name, calling);
    checked_.emplace(key, called);
    return called;
  }

  Called check_called(const FlowText& caller, const std::string& name,
                      const std::vector<std::string>& calling) {
    auto text = surroundings_.find_flow(caller, name);
    if (!text) return text.error();
    std::vector<std::string> further = calling;
    further.push_back(name);
    flow::CheckedFlow checked = run(*text, further);
    if (checked.program) return std::make_shared<const flow::Program>(*std::move(checked.program));
    const auto wrong = std::find_if(
        checked.problems.begin(), checked.problems.end(),
        [](const auto& each) { return each.severity == flow::Problem::Severity::error; });
    return base::Error{
        .code = base::Code::invalid,
        .message = wrong == checked.problems.end()
                       ? fmt::format("the flow '{}' has mistakes", name)
                       : fmt::format("the flow '{}' has mistakes; the first: {}:{}:{}: {}", name,
                                     text->shown, wrong->line, wrong->column, wrong->message)};
  }

  const FlowSurroundings& surroundings_;
  std::map<std::pair<std::string, std::string>, Called> checked_;  // by the caller's folder, name
};

}  // namespace

const ShippedFlow* find_shipped_flow(std::string_view name) {
  for (const ShippedFlow& flow : shipped_flows())
    if (flow.name == name) return &flow;
  return nullptr;
}

FlowText text_of(const ShippedFlow& shipped) {
  return {.shown = fmt::format("{} (shipped)", shipped.name),
          .source = std::string(shipped.source),
          .is_shipped = true};
}

base::Result<FlowText> find_flow_text(db::Connection& reader, const std::string& name) {
  const ShippedFlow* shipped = find_shipped_flow(name);
  auto stored = store::find_flow(reader, name);
  if (!stored) return stored.error();
  if (*stored && (shipped == nullptr || (*stored)->type != kShippedOrigin)) {
    auto version = store::load_flow_version(reader, **stored);
    if (!version) return version.error();
    return FlowText{.shown = name, .source = version->source};
  }
  if (shipped != nullptr) return text_of(*shipped);
  std::vector<std::string> known;
  for (const ShippedFlow& flow : shipped_flows()) known.emplace_back(flow.name);
  auto flows = store::list_flows(reader);
  if (!flows) return flows.error();
  for (const auto& flow : *flows) known.push_back(flow.name);
  return no_flow(name, known);
}

FlowSurroundings surroundings_of(db::Connection& reader, std::vector<std::string> profiles) {
  FlowSurroundings around;
  around.profiles = std::move(profiles);
  around.find_flow = [&reader](const FlowText&, const std::string& name) {
    return find_flow_text(reader, name);
  };
  return around;
}

flow::CheckedFlow check_flow_text(const FlowText& text, const FlowSurroundings& surroundings) {
  return Check(surroundings).run(text, {});
}

json::object problem_json(std::string_view shown, const flow::Problem& problem) {
  json::object out;
  out["type"] = "problem";
  out["severity"] = problem.severity == flow::Problem::Severity::error ? "error" : "warning";
  out["file"] = shown;
  out["line"] = problem.line;
  out["column"] = problem.column;
  out["message"] = problem.message;
  return out;
}

base::Error mistakes_error(std::string_view shown, const flow::CheckedFlow& checked) {
  const auto errors = std::count_if(
      checked.problems.begin(), checked.problems.end(),
      [](const auto& problem) { return problem.severity == flow::Problem::Severity::error; });
  return {.code = base::Code::invalid,
          .message = fmt::format("{} has {} {}; nothing was stored", shown, errors,
                                 errors == 1 ? "mistake" : "mistakes"),
          .remedy = "docs/flow-reference.md has the language"};
}

base::Result<StoredFlow> store_flow(db::Connection& writer, const FlowText& text,
                                    const flow::CheckedFlow& checked, base::Timestamp now) {
  if (!checked.ok()) return mistakes_error(text.shown, checked);
  store::NewFlowVersion wanted;
  wanted.name = checked.program->name;
  wanted.title = checked.program->title;
  wanted.topic = checked.program->topic;
  wanted.origin = text.is_shipped ? kShippedOrigin : "tertulia";
  wanted.source_format = checked.format;
  wanted.source = text.source;
  wanted.steps = checked.program->to_rows();
  wanted.now = now;
  auto saved = store::save_flow(writer, wanted);
  if (!saved) return saved.error();
  return StoredFlow{*checked.program, *std::move(saved)};
}

base::Result<json::object> list_flows_json(db::Connection& reader,
                                           const FlowSurroundings& surroundings) {
  auto stored = store::list_flows(reader);
  if (!stored) return stored.error();
  json::array items;
  const auto add = [&](std::string_view name, std::string_view title, std::int64_t version,
                       std::int64_t sessions, bool shipped) {
    json::object item;
    item["name"] = name;
    item["title"] = title;
    item["version"] = version;
    item["sessions"] = sessions;
    item["shipped"] = shipped;
    items.push_back(std::move(item));
  };
  for (const ShippedFlow& flow : shipped_flows()) {
    const bool known = std::any_of(stored->begin(), stored->end(),
                                   [&](const auto& each) { return each.name == flow.name; });
    if (known) continue;
    // With what it needs to find the flows that it calls.
    const auto checked = check_flow_text(text_of(flow), surroundings);
    add(flow.name, checked.ok() ? checked.program->title : std::string(), 0, 0, true);
  }
  for (const auto& flow : *stored)
    add(flow.name, flow.title, flow.latest_version, flow.sessions,
        find_shipped_flow(flow.name) != nullptr);
  json::object out;
  out["items"] = std::move(items);
  return out;
}

json::object flow_json(const flow::Program& program) {
  json::object out = program.header_json();
  json::array steps;
  for (std::size_t i = 0; i < program.steps.size(); ++i)
    steps.push_back(program.spec_json(static_cast<int>(i)));
  out["steps"] = std::move(steps);
  return out;
}

base::Result<std::string> load_flow_source(db::Connection& reader, const std::string& name,
                                           std::int64_t version) {
  auto flow = store::find_flow(reader, name);
  if (!flow) return flow.error();
  if (!*flow)
    return base::Error{.code = base::Code::not_found,
                       .message = fmt::format("there is no stored flow '{}'", name),
                       .remedy = "tertulia flow list"};
  auto stored = store::load_flow_version(reader, **flow, version);
  if (!stored) return stored.error();
  return stored->source;
}

}  // namespace tertulia::service
