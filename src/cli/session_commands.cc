// tertulia session: looking at sessions.
#include <fmt/format.h>

#include <cstdio>

#include "base/json_members.h"
#include "base/utf8.h"
#include "cli/context.h"
#include "cli/live_view.h"
#include "cli/session_branch.h"
#include "cli/session_import.h"
#include "cli/session_log_view.h"
#include "cli/session_steering.h"
#include "cli/session_tools.h"
#include "cli/terminal.h"
#include "service/text_diff.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
using base::flag_at;
using base::integer_at;
using base::text_at;
using model::Id;

base::Result<int> show(Context& context, Id id) {
  auto records = context.records();
  if (!records) return records.error();
  auto shown = (*records)->session(id);
  if (!shown) return shown.error();
  if (context.json) {
    print_json(*shown);
    return kExitDone;
  }
  for (const auto& member : *shown)
    fmt::print(
        "{:<18} {}\n", std::string_view(member.key()),
        safe_for_terminal(member.value().is_string() ? std::string(member.value().get_string())
                                                     : base::to_text(member.value())));
  return kExitDone;
}

base::Result<int> log(Context& context, Id id, const LogViewOptions& options) {
  auto records = context.records();
  if (!records) return records.error();
  if (context.json) {
    auto rows = (*records)->log(id, {.snapshots = true});
    if (!rows) return rows.error();
    for (const json::value& row : *rows) print_json(row);
    return kExitDone;
  }
  auto session = (*records)->session(id);
  if (!session) return session.error();
  auto rows =
      (*records)->log(id, {.snapshots = options.full, .words = true, .calls = options.full});
  if (!rows) return rows.error();
  if (flag_at(*session, "rehearsal")) fmt::print("{}\n", styled("(rehearsal)", Style::yellow));
  if (auto printed = print_log(*rows, options); !printed) return printed.error();
  return kExitDone;
}

base::Result<int> messages(Context& context, Id id) {
  auto records = context.records();
  if (!records) return records.error();
  auto session = (*records)->session(id);
  if (!session) return session.error();
  auto said = (*records)->messages(id);
  if (!said) return said.error();
  LiveView view(*session, false);
  if (!context.json) view.begin();
  for (json::value& message : *said) {
    if (context.json) {
      print_json(message);
      continue;
    }
    engine::Event event{
        .id = 0, .type = engine::Event::Type::message, .session_id = id, .time = {}, .data = {}};
    event.data["message"] = std::move(message);
    view.show(event);
  }
  return kExitDone;
}

struct DocumentOptions {
  std::string name;
  std::int64_t version = 0;
  bool diff = false;
};

void print_diff(std::string_view before, std::string_view after) {
  using service::DiffLine;
  for (const DiffLine& line : service::diff_lines(before, after)) {
    const std::string words = safe_for_terminal(line.text);
    if (line.kind == DiffLine::Kind::same) fmt::print("  {}\n", words);
    if (line.kind == DiffLine::Kind::removed) fmt::print("{}\n", styled("- " + words, Style::red));
    if (line.kind == DiffLine::Kind::added) fmt::print("{}\n", styled("+ " + words, Style::green));
  }
}

base::Result<int> document(Context& context, Id id, const DocumentOptions& options) {
  auto records = context.records();
  if (!records) return records.error();
  auto shown = (*records)->document(id, options.name, options.version);
  if (!shown) return shown.error();
  if (context.json) {
    print_json(*shown);
    return kExitDone;
  }
  if (flag_at(*shown, "rehearsal"))
    fmt::print(stderr, "(rehearsal: written by the built-in stand-in)\n");
  const std::string_view text = text_at(*shown, "text");
  if (const std::int64_t version = integer_at(*shown, "version"); options.diff && version > 1) {
    auto before = (*records)->document(id, options.name, version - 1);
    if (!before) return before.error();
    print_diff(text_at(*before, "text"), text);
    return kExitDone;
  }
  fmt::print("{}\n", safe_for_terminal(text));
  return kExitDone;
}

base::Result<int> replay(Context& context, Id id) {
  auto records = context.records();
  if (!records) return records.error();
  auto proof = (*records)->proof(id);
  if (!proof) return proof.error();
  const bool agrees = flag_at(*proof, "agrees");
  if (context.json) {
    print_json(*proof);
    return agrees ? kExitDone : kExitFailed;
  }
  for (const json::object* one : base::objects_at(*proof, "disagreements")) {
    const std::int64_t order = integer_at(*one, "order");
    fmt::print("{}: {}\n",
               order == 0 ? std::string("the final state") : fmt::format("step {}", order),
               safe_for_terminal(text_at(*one, "what")));
  }
  fmt::print("replay of session {}: {} log rows, {} messages, {} requests rebuilt: {}\n", id,
             integer_at(*proof, "rows"), integer_at(*proof, "messages"),
             integer_at(*proof, "requests_rebuilt"),
             agrees ? styled("log and state agree", Style::green)
                    : styled("log and state disagree", Style::red));
  return agrees ? kExitDone : kExitFailed;
}

base::Result<int> search(Context& context, const std::string& text, std::int64_t limit) {
  auto records = context.records();
  if (!records) return records.error();
  auto found = (*records)->search(text, limit);
  if (!found) return found.error();
  for (const json::value& item : *found) {
    if (context.json) {
      print_json(item);
      continue;
    }
    const json::object* message = item.if_object();
    if (message == nullptr) continue;
    // The words around the place, so that the match is seen.
    const std::string_view content = text_at(*message, "text");
    const size_t at = std::min(content.find(text), content.size());
    const std::string_view before = base::clip_bytes(content, at > 60 ? at - 60 : 0);
    fmt::print("{:>6} #{:<4} {}: {}\n", integer_at(*message, "session_id"),
               integer_at(*message, "position"), safe_for_terminal(text_at(*message, "role")),
               base::shorten(safe_for_terminal(content.substr(before.size())), 120));
  }
  return kExitDone;
}

}  // namespace

void add_session(CLI::App& app, Context& context) {
  auto* session = app.add_subcommand("session", "Everything about sessions");
  session->require_subcommand(1);
  session->footer("Example: tertulia session log 1 --tree");

  add_session_list(*session, context);
  const auto with_id = [&](const char* name, const char* help, auto body) {
    auto* command = session->add_subcommand(name, help);
    auto id = std::make_shared<Id>();
    command->add_option("id", *id, "The session's id")->required();
    run_on_parse(
        *command, [&context, id, body] { return body(context, *id); }, Place::anywhere);
    return std::pair(command, id);
  };
  with_id("show", "How a session stands", show);
  with_id("messages", "What was said", messages);
  with_id("replay", "Performs the session again from its log, and holds the two together", replay);

  auto [log_command, log_id] =
      with_id("log", "The step log", [](Context&, Id) -> base::Result<int> { return kExitDone; });
  auto log_options = std::make_shared<LogViewOptions>();
  log_command->add_flag("--tree", log_options->tree, "As the tree of parents and children");
  log_command->add_flag("--full", log_options->full, "With snapshots and every call to a model");
  run_on_parse(
      *log_command,
      [&context, id = log_id, log_options] { return log(context, *id, *log_options); },
      Place::anywhere);

  auto [document_command, document_id] =
      with_id("document", "A document that steps write",
              [](Context&, Id) -> base::Result<int> { return kExitDone; });
  auto document_options = std::make_shared<DocumentOptions>();
  document_command->add_option("name", document_options->name, "The document's name")->required();
  document_command->add_option("--version", document_options->version, "Not the latest, but this");
  document_command->add_flag("--diff", document_options->diff, "What changed from the one before");
  run_on_parse(
      *document_command,
      [&context, id = document_id, document_options] {
        return document(context, *id, *document_options);
      },
      Place::anywhere);

  add_session_export(*session, context);

  auto* searching = session->add_subcommand("search", "Messages that hold a text");
  auto text = std::make_shared<std::string>();
  auto limit = std::make_shared<std::int64_t>(50);
  searching->add_option("text", *text, "The text")->required();
  searching->add_option("--limit", *limit, "How many")->check(CLI::Range(1, 10000));
  run_on_parse(
      *searching, [&context, text, limit] { return search(context, *text, *limit); },
      Place::anywhere);

  add_session_steering(*session, context);
  add_session_compare(*session, context);
  add_session_stats(*session, context);
  add_session_removal(*session, context);
  add_session_branch(*session, context);
  add_session_import(*session, context);
}

}  // namespace tertulia::cli
