#include "cli/flow_there.h"

#include <fmt/format.h>

#include "cli/flow_source.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
using service::FlowText;

std::string flow_path(const std::string& name) {
  return "/api/v1/flows/" + remote::encoded(name);
}

std::string text_of(const json::value& value, std::string_view pointer) {
  const json::value* found = base::at_pointer(value, pointer);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

std::int64_t number_of(const json::value& value, std::string_view pointer) {
  const json::value* found = base::at_pointer(value, pointer);
  return found != nullptr && found->is_int64() ? found->get_int64() : 0;
}

remote::Ask with_text(std::string target, const FlowText& text, bool is_keyed) {
  return {.method = "POST",
          .target = std::move(target),
          .body = text.source,
          .content_type = "application/yaml",  // of which JSON is a part
          .is_keyed = is_keyed};
}

}  // namespace

base::Result<FlowText> find_text_there(remote::ApiClient& server, const std::string& name) {
  if (names_a_file(name)) return text_of_file(name);
  auto told = server.get(flow_path(name));
  if (!told) return told.error();
  auto text = server.send({.target = flow_path(name), .accept = "application/yaml"});
  if (!text) return text.error();
  const json::value* shipped = told->if_contains("shipped");
  const bool is_shipped = shipped != nullptr && shipped->is_bool() && shipped->get_bool();
  return FlowText{.shown = is_shipped ? fmt::format("{} (shipped)", name) : name,
                  .source = std::move(text->body),
                  .is_shipped = is_shipped};
}

base::Result<flow::CheckedFlow> check_there(remote::ApiClient& server, const FlowText& text) {
  auto told = server.ask(with_text("/api/v1/flows/check", text, false));
  if (!told) return told.error();
  flow::CheckedFlow checked;
  checked.name = text_of(*told, "/name");
  if (const json::value* problems = base::at_pointer(*told, "/problems");
      problems != nullptr && problems->is_array())
    for (const json::value& each : problems->get_array())
      checked.problems.push_back(
          {.severity = text_of(each, "/severity") == "error" ? flow::Problem::Severity::error
                                                             : flow::Problem::Severity::warning,
           .line = static_cast<int>(number_of(each, "/line")),
           .column = static_cast<int>(number_of(each, "/column")),
           .message = text_of(each, "/message")});
  return checked;
}

base::Result<FlowThere> store_there(Context& context, remote::ApiClient& server,
                                    const FlowText& text, bool quiet_warnings) {
  auto checked = check_there(server, text);
  if (!checked) return checked.error();
  const bool has_mistakes = service::has_mistakes(*checked);
  if (has_mistakes || !(quiet_warnings || text.is_shipped))
    print_problems(text, checked->problems, context.json);
  if (has_mistakes) return service::mistakes_error(text.shown, *checked);
  auto reply = server.send(with_text("/api/v1/flows", text, true));
  if (!reply) return reply.error();
  auto stored = base::parse_json(reply->body);
  if (!stored) return stored.error();
  return FlowThere{.name = text_of(*stored, "/name"),
                   .version = number_of(*stored, "/version"),
                   .is_new = reply->status == 201};
}

base::Result<FlowThere> find_flow_there(Context& context, remote::ApiClient& server,
                                        const std::string& name, bool quiet_warnings) {
  if (names_a_file(name)) {
    auto text = text_of_file(name);
    if (!text) return text.error();
    return store_there(context, server, *text, quiet_warnings);
  }
  auto told = server.get(flow_path(name));
  if (!told) return told.error();
  const json::value flow(*std::move(told));
  if (const json::value* shipped = base::at_pointer(flow, "/shipped");
      !quiet_warnings && shipped != nullptr && *shipped == json::value(false)) {
    auto text = find_text_there(server, name);
    if (!text) return text.error();
    auto checked = check_there(server, *text);
    if (!checked) return checked.error();
    print_problems(*text, checked->problems, context.json);
  }
  return FlowThere{.name = text_of(flow, "/name"), .version = number_of(flow, "/version")};
}

}  // namespace tertulia::cli
