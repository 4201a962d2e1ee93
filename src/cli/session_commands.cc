// tertulia session: looking at sessions.
#include <fmt/format.h>

#include <cstdio>

#include "base/utf8.h"
#include "cli/context.h"
#include "cli/live_view.h"
#include "cli/session_branch.h"
#include "cli/session_import.h"
#include "cli/session_log_view.h"
#include "cli/session_steering.h"
#include "cli/session_tools.h"
#include "cli/terminal.h"
#include "engine/explain.h"
#include "service/session_export.h"
#include "service/session_json.h"
#include "service/session_proof.h"
#include "service/session_view.h"
#include "service/text_diff.h"
#include "store/step_log.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
using model::Id;

base::Result<engine::SessionData> load(Context& context, Id id) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  engine::FlowCache flows;
  return engine::load_session_data(**reader, flows, id);
}

base::Result<int> show(Context& context, Id id) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  engine::FlowCache flows;
  auto shown = service::session_json(**reader, flows, id);
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
  auto session = load(context, id);
  if (!session) return session.error();
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto rows = store::load_log(**reader, id);
  if (!rows) return rows.error();
  auto calls = store::load_model_calls(**reader, id);
  if (!calls) return calls.error();
  if (!context.json) {
    if (session->is_rehearsed()) fmt::print("{}\n", styled("(rehearsal)", Style::yellow));
    print_log(*session, *rows, *calls, options);
    return kExitDone;
  }
  for (const auto& row : *rows) print_json(service::log_row_json(row));
  return kExitDone;
}

base::Result<int> messages(Context& context, Id id) {
  auto session = load(context, id);
  if (!session) return session.error();
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto rows = store::load_messages(**reader, id);
  if (!rows) return rows.error();
  LiveView view(session->cast, session->is_rehearsed(), false);
  if (!context.json) view.begin(id, session->flow_name, session->topic);
  for (const auto& row : *rows) {
    json::object message = service::message_json(row, *session);
    if (context.json) {
      print_json(message);
      continue;
    }
    engine::Event event{.id = 0,
                        .type = engine::Event::Type::message,
                        .session_id = id,
                        .time = row.created_at,
                        .data = {}};
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

void print_diff(const std::string& before, const std::string& after) {
  using service::DiffLine;
  for (const DiffLine& line : service::diff_lines(before, after)) {
    const std::string words = safe_for_terminal(line.text);
    if (line.kind == DiffLine::Kind::same) fmt::print("  {}\n", words);
    if (line.kind == DiffLine::Kind::removed) fmt::print("{}\n", styled("- " + words, Style::red));
    if (line.kind == DiffLine::Kind::added) fmt::print("{}\n", styled("+ " + words, Style::green));
  }
}

base::Result<int> document(Context& context, Id id, const DocumentOptions& options) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  if (context.json) {
    engine::FlowCache flows;
    auto shown = service::document_json(**reader, flows, id, options.name, options.version);
    if (!shown) return shown.error();
    print_json(*shown);
    return kExitDone;
  }
  auto session = load(context, id);
  if (!session) return session.error();
  auto document = service::load_document(**reader, id, options.name, options.version);
  if (!document) return document.error();
  if (session->is_rehearsed())
    fmt::print(stderr, "(rehearsal: written by the built-in stand-in)\n");
  if (options.diff && document->before) {
    print_diff(*document->before, document->text);
    return kExitDone;
  }
  fmt::print("{}\n", safe_for_terminal(document->text));
  return kExitDone;
}

base::Result<int> replay(Context& context, Id id) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  engine::FlowCache flows;
  auto explanation = engine::explain(**reader, flows, id, context.providers());
  if (!explanation) return explanation.error();
  if (context.json) {
    print_json(service::proof_json(id, *explanation));
  } else {
    for (const auto& each : service::disagreements_of(*explanation))
      fmt::print(
          "{}: {}\n",
          each.order == 0 ? std::string("the final state") : fmt::format("step {}", each.order),
          safe_for_terminal(each.what));
    fmt::print("replay of session {}: {} log rows, {} messages, {} requests rebuilt: {}\n", id,
               explanation->replay.rows, explanation->replay.messages,
               explanation->requests_rebuilt,
               explanation->agrees() ? styled("log and state agree", Style::green)
                                     : styled("log and state disagree", Style::red));
  }
  return explanation->agrees() ? kExitDone : kExitFailed;
}

base::Result<int> search(Context& context, const std::string& text, std::int64_t limit) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto found = store::search_messages(**reader, text, limit);
  if (!found) return found.error();
  for (const auto& message : *found) {
    if (context.json) {
      print_json(service::found_message_json(message));
      continue;
    }
    // The words around the place, so that the match is seen.
    const size_t at = std::min(message.content.find(text), message.content.size());
    const std::string_view before = base::clip_bytes(message.content, at > 60 ? at - 60 : 0);
    fmt::print(
        "{:>6} #{:<4} {}: {}\n", message.session, message.position,
        safe_for_terminal(message.role_ref),
        base::shorten(safe_for_terminal(std::string_view(message.content).substr(before.size())),
                      120));
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
    run_on_parse(*command, [&context, id, body] { return body(context, *id); });
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
  run_on_parse(*log_command,
               [&context, id = log_id, log_options] { return log(context, *id, *log_options); });

  auto [document_command, document_id] =
      with_id("document", "A document that steps write",
              [](Context&, Id) -> base::Result<int> { return kExitDone; });
  auto document_options = std::make_shared<DocumentOptions>();
  document_command->add_option("name", document_options->name, "The document's name")->required();
  document_command->add_option("--version", document_options->version, "Not the latest, but this");
  document_command->add_flag("--diff", document_options->diff, "What changed from the one before");
  run_on_parse(*document_command, [&context, id = document_id, document_options] {
    return document(context, *id, *document_options);
  });

  add_session_export(*session, context);

  auto* searching = session->add_subcommand("search", "Messages that hold a text");
  auto text = std::make_shared<std::string>();
  auto limit = std::make_shared<std::int64_t>(50);
  searching->add_option("text", *text, "The text")->required();
  searching->add_option("--limit", *limit, "How many")->check(CLI::Range(1, 10000));
  run_on_parse(*searching, [&context, text, limit] { return search(context, *text, *limit); });

  add_session_steering(*session, context);
  add_session_compare(*session, context);
  add_session_stats(*session, context);
  add_session_removal(*session, context);
  add_session_branch(*session, context);
  add_session_import(*session, context);
}

}  // namespace tertulia::cli
