// tertulia session: looking at sessions.
#include <fmt/format.h>

#include <cstdio>

#include "base/utf8.h"
#include "cli/context.h"
#include "cli/live_view.h"
#include "cli/session_branch.h"
#include "cli/session_export.h"
#include "cli/session_import.h"
#include "cli/session_log_view.h"
#include "cli/session_steering.h"
#include "cli/session_tools.h"
#include "cli/terminal.h"
#include "cli/text_diff.h"
#include "engine/explain.h"
#include "engine/waiting.h"
#include "store/sessions.h"
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
  auto row = store::load_session(**reader, id);
  if (!row) return row.error();
  auto session = load(context, id);
  if (!session) return session.error();
  auto usage = store::sum_usage(**reader, id);
  if (!usage) return usage.error();
  json::object out;
  out["id"] = id;
  out["flow"] = session->flow_name;
  out["flow_version"] = session->flow_version;
  out["topic"] = session->topic;
  out["status"] = model::to_text(row->status);
  if (row->stop_reason) out["stop_reason"] = model::to_text(*row->stop_reason);
  if (row->error_reason) out["reason"] = *row->error_reason;
  if (const auto& from = session->snapshot.branched_from)
    out["branched_from"] = json::object{{"session", from->session}, {"order", from->order}};
  out["rehearsal"] = is_rehearsed(*session);
  out["seed"] = row->seed.value_or(0);
  out["round"] = row->current_round;
  out["steps"] = row->executed_steps_count;
  out["model_calls"] = usage->calls;
  out["prompt_tokens"] = usage->prompt_tokens;
  out["completion_tokens"] = usage->completion_tokens;
  if (usage->cost_usd) out["cost_usd"] = *usage->cost_usd;
  out["created_at"] = base::to_iso8601(row->created_at);
  if (row->ended_at) out["ended_at"] = base::to_iso8601(*row->ended_at);
  json::array cast;
  for (const auto& role : session->cast.roles) {
    json::object one;
    one["ref"] = role.ref;
    one["name"] = role.name;
    one["profile"] = role.profile;
    cast.push_back(std::move(one));
  }
  out["cast"] = std::move(cast);
  if (row->status == model::SessionStatus::waiting) {
    engine::FlowCache flows;
    auto waiting = engine::find_waiting(**reader, flows, id);
    if (!waiting) return waiting.error();
    // The first of them; `waiting` has all, where several persons are asked at once.
    if (!waiting->empty()) {
      out["waits_for"] = waiting->front().role;
      out["question"] = waiting->front().question;
      if (waiting->front().until) out["until"] = base::to_iso8601(*waiting->front().until);
    }
    if (waiting->size() > 1) {
      json::array all;
      for (const engine::Waiting& each : *waiting)
        all.push_back(
            json::object{{"order", each.order}, {"role", each.role}, {"question", each.question}});
      out["waiting"] = std::move(all);
    }
  }
  if (row->result)
    if (auto result = base::parse_json(*row->result)) out["result"] = *std::move(result);
  if (context.json) {
    print_json(out);
    return kExitDone;
  }
  for (const auto& member : out)
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
    if (is_rehearsed(*session)) fmt::print("{}\n", styled("(rehearsal)", Style::yellow));
    print_log(*session, *rows, *calls, options);
    return kExitDone;
  }
  for (const auto& row : *rows) print_json(log_row_json(row));
  return kExitDone;
}

base::Result<int> messages(Context& context, Id id) {
  auto session = load(context, id);
  if (!session) return session.error();
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto rows = store::load_messages(**reader, id);
  if (!rows) return rows.error();
  LiveView view(session->cast, is_rehearsed(*session), false);
  if (!context.json) view.begin(id, session->flow_name, session->topic);
  for (const auto& row : *rows) {
    json::object message = message_json(row, *session);
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

base::Result<int> document(Context& context, Id id, const DocumentOptions& options) {
  auto session = load(context, id);
  if (!session) return session.error();
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto versions = store::load_document_versions(**reader, id, options.name);
  if (!versions) return versions.error();
  const auto count = static_cast<std::int64_t>(versions->size());
  if (count == 0)
    return base::Error{.code = base::Code::not_found,
                       .message = fmt::format("session {} has no document '{}'", id, options.name),
                       .remedy = fmt::format("tertulia session messages {}", id)};
  const std::int64_t wanted = options.version == 0 ? count : options.version;
  if (wanted < 1 || wanted > count)
    return base::Error{
        .code = base::Code::not_found,
        .message = fmt::format("the document '{}' has versions 1 to {}", options.name, count)};
  const auto& text = (*versions)[static_cast<size_t>(wanted - 1)].content;
  if (context.json) {
    json::object out;
    out["name"] = options.name;
    out["version"] = wanted;
    out["versions"] = count;
    out["rehearsal"] = is_rehearsed(*session);
    out["text"] = text;
    print_json(out);
    return kExitDone;
  }
  if (is_rehearsed(*session)) fmt::print(stderr, "(rehearsal: written by the built-in stand-in)\n");
  if (options.diff && wanted > 1) {
    for (const DiffLine& line :
         diff_lines((*versions)[static_cast<size_t>(wanted - 2)].content, text)) {
      const std::string words = safe_for_terminal(line.text);
      if (line.kind == DiffLine::Kind::same) fmt::print("  {}\n", words);
      if (line.kind == DiffLine::Kind::removed)
        fmt::print("{}\n", styled("- " + words, Style::red));
      if (line.kind == DiffLine::Kind::added)
        fmt::print("{}\n", styled("+ " + words, Style::green));
    }
    return kExitDone;
  }
  fmt::print("{}\n", safe_for_terminal(text));
  return kExitDone;
}

base::Result<int> replay(Context& context, Id id) {
  auto reader = context.reader();
  if (!reader) return reader.error();
  engine::FlowCache flows;
  auto explanation = engine::explain(**reader, flows, id, context.providers());
  if (!explanation) return explanation.error();
  std::vector<flow::Disagreement> all = explanation->replay.disagreements;
  all.insert(all.end(), explanation->request_disagreements.begin(),
             explanation->request_disagreements.end());
  if (context.json) {
    json::object out;
    out["session_id"] = id;
    out["agrees"] = explanation->agrees();
    out["rows"] = explanation->replay.rows;
    out["messages"] = explanation->replay.messages;
    out["requests_rebuilt"] = explanation->requests_rebuilt;
    json::array list;
    for (const auto& each : all) {
      json::object one;
      one["order"] = each.order;
      one["what"] = each.what;
      list.push_back(std::move(one));
    }
    out["disagreements"] = std::move(list);
    print_json(out);
  } else {
    for (const auto& each : all)
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
      json::object out;
      out["session_id"] = message.session;
      out["position"] = message.position;
      out["role"] = message.role_ref;
      out["text"] = message.content;
      print_json(out);
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
