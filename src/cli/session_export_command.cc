// tertulia session export: one session in any format, many as JSON Lines or Markdown.
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cli/db_report.h"
#include "cli/session_selection.h"
#include "cli/session_tools.h"
#include "cli/terminal.h"

namespace tertulia::cli {
namespace {

struct ExportOptions {
  service::SessionSelection selection;
  std::string format = "md";
};

base::Result<void> write_out(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size()) return {};
  return base::Error{
      .code = base::Code::storage,
      .message = fmt::format("standard output cannot be written: {}", std::strerror(errno))};
}

base::Result<int> export_all(Context& context, const ExportOptions& options) {
  auto records = context.records();
  if (!records) return records.error();
  if (options.selection.empty())
    return base::Error{.code = base::Code::invalid,
                       .message = "export wants ids, or --status, --flow or --older-than",
                       .remedy = "tertulia session list"};
  auto count = (*records)->count(options.selection);
  if (!count) return count.error();
  if (*count > 1 && (options.format == "html" || options.format == "json"))
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("--format {} holds one session, and {} are meant",
                                              options.format, *count),
                       .remedy = "--format jsonl holds any number, and session import reads it"};
  if (*count == 0) fmt::print(stderr, "no such sessions\n");

  std::int64_t done = 0;
  std::vector<std::string> failed;
  {
    ProgressLine progress("exporting", "sessions");
    auto exported = (*records)->each(options.selection, [&](model::Id id) -> base::Result<void> {
      auto text = (*records)->exported(id, options.format);
      // One session that cannot be read does not keep the others from being kept.
      if (!text && *count > 1) {
        failed.push_back(fmt::format("session {}: {}", id, text.error().message));
        return {};
      }
      if (!text) return text.error();
      if (!output_is_terminal()) progress.show(++done, *count);
      return write_out(*text);
    });
    if (!exported) return exported.error();
  }
  if (std::fflush(stdout) != 0) return write_out(" ").error();
  for (const std::string& each : failed)
    fmt::print(stderr, "not exported: {}\n", safe_for_terminal(each));
  return failed.empty() ? kExitDone : kExitFailed;
}

}  // namespace

void add_session_export(CLI::App& session, Context& context) {
  auto* exporting = session.add_subcommand("export", "Sessions as text, on standard output");
  auto options = std::make_shared<ExportOptions>();
  add_selection(*exporting, options->selection);
  exporting
      ->add_option("--format", options->format,
                   "md, html, json, or jsonl: a whole session a line. json and jsonl can be "
                   "imported again")
      ->check(CLI::IsMember({"md", "html", "json", "jsonl"}));
  exporting->footer(
      "Example: tertulia session export 7 --format html > session-7.html\n"
      "         tertulia session export --flow debate --status finished --format jsonl > "
      "all.jsonl");
  run_on_parse(
      *exporting, [&context, options] { return export_all(context, *options); }, Place::anywhere);
}

}  // namespace tertulia::cli
