#include "cli/flow_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "base/near_name.h"
#include "cli/shipped_flows.h"
#include "cli/terminal.h"

namespace tertulia::cli {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kShipped = "shipped";

bool looks_like_a_file(const std::string& name) {
  return name == "-" || name.find('/') != std::string::npos || name.ends_with(".yaml") ||
         name.ends_with(".yml") || name.ends_with(".json");
}

const ShippedFlow* find_shipped(const std::string& name) {
  for (const ShippedFlow& flow : shipped_flows())
    if (flow.name == name) return &flow;
  return nullptr;
}

base::Result<FlowText> text_of_file(const std::string& path) {
  auto source = read_text_file(path, flow::kMaxFlowBytes + 1);
  if (!source) return source.error();
  const std::string folder = path == "-" ? std::string() : fs::path(path).parent_path().string();
  return FlowText{.shown = path == "-" ? "standard input" : path,
                  .source = *std::move(source),
                  .folder = folder.empty() ? "." : folder,
                  .is_shipped = false};
}

}  // namespace

base::Result<std::string> read_text_file(const std::string& path, std::size_t most_bytes) {
  const auto failed = [&](std::string_view why) {
    return base::Error{
        .code = base::Code::invalid, .message = fmt::format("{}: {}", path, why), .remedy = {}};
  };
  std::error_code status;
  if (path != "-" && fs::is_directory(path, status)) return failed("this is a folder");
  std::ifstream file;
  if (path != "-") {
    file.open(path, std::ios::binary);
    if (!file) return failed(std::strerror(errno));
  }
  std::istream& in = path == "-" ? std::cin : file;
  std::string text(most_bytes, '\0');
  in.read(text.data(), static_cast<std::streamsize>(most_bytes));
  if (in.bad()) return failed("cannot be read");
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() == most_bytes && in.peek() != std::char_traits<char>::eof())
    return failed(fmt::format("larger than the {} bytes that are read at most", most_bytes));
  return text;
}

base::Result<FlowText> find_flow_text(Context& context, const std::string& name) {
  if (looks_like_a_file(name)) return text_of_file(name);
  const ShippedFlow* shipped = find_shipped(name);
  // A shipped flow needs no database to be found, but one that the user imported under its name
  // goes before it.
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto stored = store::find_flow(**reader, name);
  if (!stored) return stored.error();
  if (*stored && (shipped == nullptr || (*stored)->type != kShipped)) {
    auto version = store::load_flow_version(**reader, **stored);
    if (!version) return version.error();
    return FlowText{.shown = name, .source = version->source, .folder = {}, .is_shipped = false};
  }
  if (shipped != nullptr)
    return FlowText{.shown = fmt::format("{} (shipped)", name),
                    .source = std::string(shipped->source),
                    .folder = {},
                    .is_shipped = true};
  std::vector<std::string> known;
  for (const ShippedFlow& flow : shipped_flows()) known.emplace_back(flow.name);
  auto flows = store::list_flows(**reader);
  if (!flows) return flows.error();
  for (const auto& flow : *flows) known.push_back(flow.name);
  const std::string near = base::near_name(name, known);
  return base::Error{.code = base::Code::not_found,
                     .message = fmt::format(
                         "there is no flow '{}'{}", name,
                         near.empty() ? std::string() : fmt::format("; did you mean '{}'?", near)),
                     .remedy =
                         "tertulia flow list shows what there is; a file is named with its "
                         "ending, such as my-flow.yaml"};
}

namespace {

// `calling`: the flows that call each other down to this one.
flow::CheckedFlow check_called(Context& context, const FlowText& text,
                               const std::vector<std::string>& calling);

base::Result<std::shared_ptr<const flow::Program>> find_called(
    Context& context, const FlowText& caller, const std::string& name,
    const std::vector<std::string>& calling) {
  if (std::find(calling.begin(), calling.end(), name) != calling.end()) {
    std::string way;
    for (const std::string& each : calling) way += each + " -> ";
    return base::Error{
        .code = base::Code::invalid,
        .message = fmt::format("flows call each other in a circle: {}{}", way, name)};
  }
  // A flow in the caller's folder goes before one that is stored or shipped.
  base::Result<FlowText> text = base::Error{};
  const fs::path beside = fs::path(caller.folder) / (name + ".yaml");
  std::error_code status;
  if (!caller.folder.empty() && fs::exists(beside, status)) {
    text = text_of_file(beside.string());
  } else {
    text = find_flow_text(context, name);
  }
  if (!text) return text.error();
  flow::CheckedFlow checked = check_called(context, *text, calling);
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

flow::CheckedFlow check_called(Context& context, const FlowText& text,
                               const std::vector<std::string>& calling) {
  flow::CheckOptions options;
  if (!text.folder.empty()) {
    options.read_file = [folder = text.folder](const std::string& name) {
      return read_text_file((fs::path(folder) / name).string(), flow::kMaxFlowBytes);
    };
  }
  if (auto config = context.config()) options.profiles = (*config)->profile_names();
  options.find_flow = [&](const std::string& name) {
    std::vector<std::string> further = calling;
    further.push_back(name);
    if (further.size() > static_cast<std::size_t>(flow::kMaxCallDepth) + 1)
      return base::Result<std::shared_ptr<const flow::Program>>(base::Error{
          .code = base::Code::invalid,
          .message = fmt::format("calls are nested more than {} deep", flow::kMaxCallDepth)});
    return find_called(context, text, name, calling);
  };
  return flow::check_flow(text.source, options);
}

}  // namespace

flow::CheckedFlow check_text(Context& context, const FlowText& text) {
  return check_called(context, text, {});
}

void print_problems(const FlowText& text, const std::vector<flow::Problem>& problems, bool json) {
  for (const flow::Problem& problem : problems) {
    const bool is_error = problem.severity == flow::Problem::Severity::error;
    if (json) {
      base::json::object out;
      out["type"] = "problem";
      out["severity"] = is_error ? "error" : "warning";
      out["file"] = text.shown;
      out["line"] = problem.line;
      out["column"] = problem.column;
      out["message"] = problem.message;
      print_json(out);
      continue;
    }
    fmt::print(stderr, "{}:{}:{}: {}: {}\n", text.shown, problem.line, problem.column,
               is_error ? "error" : "warning", safe_for_terminal(problem.message));
  }
}

base::Result<StoredFlow> store_flow(Context& context, const FlowText& text, bool quiet_warnings) {
  flow::CheckedFlow checked = check_text(context, text);
  const bool quiet = quiet_warnings || text.is_shipped;
  if (!checked.ok() || !quiet) print_problems(text, checked.problems, context.json);
  if (!checked.ok()) {
    const auto errors = std::count_if(
        checked.problems.begin(), checked.problems.end(),
        [](const auto& problem) { return problem.severity == flow::Problem::Severity::error; });
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{} has {} {}; nothing was stored", text.shown,
                                              errors, errors == 1 ? "mistake" : "mistakes"),
                       .remedy = "docs/flow-reference.md has the language"};
  }
  store::NewFlowVersion wanted;
  wanted.name = checked.program->name;
  wanted.title = checked.program->title;
  wanted.topic = checked.program->topic;
  wanted.origin = text.is_shipped ? kShipped : "tertulia";
  wanted.source_format = checked.format;
  wanted.source = text.source;
  wanted.steps = checked.program->to_rows();
  wanted.now = base::Clock::system().now();
  StoredFlow stored{.program = *std::move(checked.program), .saved = {}};
  auto done = context.write([&](db::Connection& connection) -> base::Result<void> {
    auto saved = store::save_flow(connection, wanted);
    if (!saved) return saved.error();
    stored.saved = *std::move(saved);
    return {};
  });
  if (!done) return done.error();
  return stored;
}

}  // namespace tertulia::cli
