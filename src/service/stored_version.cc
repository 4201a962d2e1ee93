#include "service/stored_version.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "store/flows.h"

namespace tertulia::service {
namespace {

base::Result<std::optional<std::int64_t>> number_of(const std::string& wanted,
                                                    const model::FlowTemplate& flow) {
  if (wanted == "latest") return std::optional<std::int64_t>();
  std::int64_t number = 0;
  const char* const end = wanted.data() + wanted.size();
  const auto [read_to, failed] = std::from_chars(wanted.data(), end, number);
  if (failed == std::errc() && read_to == end && number > 0) return std::optional(number);
  return base::Error{
      .code = base::Code::invalid,
      .message = fmt::format("a flow's version is a number or latest, not '{}'", wanted),
      .remedy = fmt::format("tertulia flow show {}", flow.name)};
}

}  // namespace

base::Result<StoredVersion> load_stored_version(db::Connection& reader,
                                                const model::FlowTemplate& flow,
                                                const std::string& wanted,
                                                const FlowSurroundings& surroundings) {
  auto number = number_of(wanted, flow);
  if (!number) return number.error();
  auto version = store::load_flow_version(reader, flow, *number);
  if (!version) return version.error();
  auto steps = store::load_flow_steps(reader, version->id);
  if (!steps) return steps.error();
  const std::string shown = fmt::format("{} version {}", flow.name, version->number);
  flow::CheckedFlow checked =
      check_flow_text({.shown = shown, .source = version->source}, surroundings);
  if (!checked.program) {
    const auto wrong = std::find_if(
        checked.problems.begin(), checked.problems.end(),
        [](const auto& each) { return each.severity == flow::Problem::Severity::error; });
    return base::Error{
        .code = base::Code::invalid,
        .message = fmt::format("{} cannot be compiled from what is stored{}", shown,
                               wrong == checked.problems.end()
                                   ? std::string()
                                   : fmt::format(": line {}: {}", wrong->line, wrong->message)),
        .remedy = "name the file that it was stored from"};
  }
  const auto rows = checked.program->to_rows();
  if (!std::equal(rows.begin(), rows.end(), steps->begin(), steps->end(),
                  [](const model::FlowStep& a, const model::FlowStep& b) {
                    return a.kind == b.kind && a.spec == b.spec;
                  }))
    return base::Error{.code = base::Code::invalid,
                       .message = shown + " calls a flow that has changed since it was stored",
                       .remedy = "store it again (tertulia flow import) and name the new version"};
  return StoredVersion{*std::move(version), *std::move(checked.program)};
}

}  // namespace tertulia::service
