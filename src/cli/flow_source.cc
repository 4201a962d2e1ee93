#include "cli/flow_source.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "cli/terminal.h"
#include "remote/server_library.h"

namespace tertulia::cli {
namespace {

namespace fs = std::filesystem;
using service::FlowText;

}  // namespace

bool names_a_file(const std::string& name) {
  return name == "-" || name.find('/') != std::string::npos || name.ends_with(".yaml") ||
         name.ends_with(".yml") || name.ends_with(".json");
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

base::Result<service::FlowText> find_flow_text(Context& context, const std::string& name) {
  if (names_a_file(name)) return text_of_file(name);
  auto server = context.server();
  if (!server) return server.error();
  if (*server != nullptr) return remote::find_flow_text(**server, name);
  auto reader = context.reader();
  if (!reader) return reader.error();
  return service::find_flow_text(**reader, name);
}

base::Result<service::FlowSurroundings> surroundings(Context& context) {
  auto server = context.server();
  if (!server) return server.error();
  if (*server != nullptr) return remote::surroundings_of(**server);
  service::FlowSurroundings around;
  if (auto config = context.config()) around.profiles = (*config)->profile_names();
  around.read_file = [](const service::FlowText& of, const std::string& name) {
    return read_text_file((fs::path(of.folder) / name).string(), flow::kMaxFlowBytes);
  };
  // A flow in the caller's folder goes before one that is stored or shipped.
  around.find_flow = [&context](const FlowText& caller, const std::string& name) {
    const fs::path beside = fs::path(caller.folder) / (name + ".yaml");
    std::error_code status;
    if (!caller.folder.empty() && fs::exists(beside, status)) return text_of_file(beside.string());
    return find_flow_text(context, name);
  };
  return around;
}

base::Result<flow::CheckedFlow> check_text(Context& context, const FlowText& text) {
  auto around = surroundings(context);
  if (!around) return around.error();
  return service::check_flow_text(text, *around);
}

void print_problems(const FlowText& text, const std::vector<flow::Problem>& problems, bool json) {
  for (const flow::Problem& problem : problems) {
    const bool is_error = problem.severity == flow::Problem::Severity::error;
    if (json) {
      print_json(service::problem_json(text.shown, problem));
      continue;
    }
    fmt::print(stderr, "{}:{}:{}: {}: {}\n", text.shown, problem.line, problem.column,
               is_error ? "error" : "warning", safe_for_terminal(problem.message));
  }
}

base::Result<flow::Program> find_program(Context& context, const std::string& name) {
  auto text = find_flow_text(context, name);
  if (!text) return text.error();
  auto checked = check_text(context, *text);
  if (!checked) return checked.error();
  if (checked->ok()) return *std::move(checked->program);
  print_problems(*text, checked->problems, context.json);
  return base::Error{.code = base::Code::invalid, .message = text->shown + " has mistakes"};
}

base::Result<service::StoredFlow> store_flow(Context& context, const FlowText& text,
                                             bool quiet_warnings) {
  auto checked = check_text(context, text);
  if (!checked) return checked.error();
  const bool quiet = quiet_warnings || text.is_shipped;
  if (!checked->ok() || !quiet) print_problems(text, checked->problems, context.json);
  if (!checked->ok()) return service::mistakes_error(text.shown, *checked);
  auto server = context.server();
  if (!server) return server.error();
  if (*server != nullptr) return remote::store_flow(**server, text, *checked);
  base::Result<service::StoredFlow> stored = base::Error{};
  auto done = context.write([&](db::Connection& connection) -> base::Result<void> {
    stored = service::store_flow(connection, text, *checked, base::Clock::system().now());
    if (!stored) return stored.error();
    return {};
  });
  if (!done) return done.error();
  return stored;
}

}  // namespace tertulia::cli
