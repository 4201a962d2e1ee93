#include "cli/session_branch.h"

#include <fmt/format.h>

#include <iostream>
#include <iterator>

#include "cli/flow_source.h"
#include "cli/perform.h"
#include "cli/perform_ending.h"
#include "engine/branch.h"
#include "remote/server_records.h"
#include "service/role_library.h"
#include "service/stored_version.h"
#include "store/flows.h"
#include "store/sessions.h"
#include "store/step_log.h"

namespace tertulia::cli {
namespace {

namespace json = base::json;
using model::Id;

struct BranchOptions {
  Id parent = 0;
  std::int64_t order = 0;
  std::string topic;
  std::string edit;
  bool has_topic = false;
  bool has_edit = false;
  bool has_model = false;
  std::string version;  // a number or "latest"; empty: the session's own
  std::string flow;     // a flow's text; empty: none
};

// The changed text of the session's flow, which must have its name.
base::Result<service::StoredFlow> store_changed(Context& context, const BranchOptions& options,
                                                const std::string& name) {
  auto text = find_flow_text(context, options.flow);
  if (!text) return text.error();
  auto checked = check_text(context, *text);
  if (!checked) return checked.error();
  if (checked->ok() && checked->program->name != name)
    return base::Error{
        .code = base::Code::invalid,
        .message = fmt::format("session {} is one of the flow '{}', and {} is the flow '{}'",
                               options.parent, name, text->shown, checked->program->name),
        .remedy = "a branch goes on under another version of the same flow: give it its name"};
  return store_flow(context, *text, true);
}

// Nothing where the branch keeps the session's version.
base::Result<std::optional<service::StoredVersion>> other_version(Context& context,
                                                                  const BranchOptions& options) {
  if (options.version.empty() && options.flow.empty())
    return std::optional<service::StoredVersion>();
  auto reader = context.reader();
  if (!reader) return reader.error();
  auto row = store::load_session(**reader, options.parent);
  if (!row) return row.error();
  auto of = store::load_flow(**reader, row->flow_template_id.value_or(0));
  if (!of) return of.error();
  if (!options.version.empty()) {
    auto around = surroundings(context);
    if (!around) return around.error();
    auto version = service::load_stored_version(**reader, *of, options.version, *around);
    if (!version) return version.error();
    return std::optional(*std::move(version));
  }
  auto stored = store_changed(context, options, of->name);
  if (!stored) return stored.error();
  return std::optional(
      service::StoredVersion{std::move(stored->saved.version), std::move(stored->program)});
}

base::Result<engine::BranchedSession> make_here(Context& context, const BranchOptions& options,
                                                std::int64_t at) {
  engine::BranchWish wish;
  wish.parent = options.parent;
  wish.at = at;
  if (options.has_topic) wish.topic = options.topic;
  if (options.has_edit) wish.edit = options.edit;
  if (options.has_model) {
    auto config = context.config();
    if (!config) return config.error();
    auto profile = context.profiles()((*config)->model.value);
    if (!profile) return profile.error();
    wish.model = *std::move(profile);
  }
  auto version = other_version(context, options);
  if (!version) return version.error();
  if (*version) {
    auto config = context.config();
    if (!config) return config.error();
    auto reader = context.reader();
    if (!reader) return reader.error();
    wish.version = engine::BranchWish::Version{.row = &(*version)->row,
                                               .program = &(*version)->program,
                                               .profiles = context.profiles(),
                                               .roles = service::roles_of(**reader),
                                               .profile = (*config)->model.value};
  }
  engine::BranchedSession branched;
  auto done = context.write([&](db::Connection& connection) -> base::Result<void> {
    auto transaction = db::Transaction::begin(connection);
    if (!transaction) return transaction.error();
    engine::FlowCache flows;
    auto made =
        engine::branch(connection, flows, wish, context.providers(), base::Clock::system().now());
    if (!made) return made.error();
    branched = *made;
    return transaction->commit();
  });
  if (!done) return done.error();
  return branched;
}

std::int64_t number_at(const json::value& value, std::string_view pointer) {
  const json::value* found = base::at_pointer(value, pointer);
  return found != nullptr && found->is_int64() ? found->get_int64() : 0;
}

base::Result<engine::BranchedSession> make_there(Context& context, remote::ApiClient& server,
                                                 const BranchOptions& options, std::int64_t at) {
  json::object body{{"at", at}, {"autostart", false}};
  if (options.has_topic) body["topic"] = options.topic;
  if (options.has_edit) body["edit"] = options.edit;
  if (options.has_model) body["model"] = context.flags.model;
  if (!options.version.empty()) body["flow_version"] = options.version;
  if (!options.flow.empty()) {
    auto parent = server.get(remote::session_path(options.parent));
    if (!parent) return parent.error();
    const json::value* name = parent->if_contains("flow");
    auto stored = store_changed(
        context, options,
        name != nullptr && name->is_string() ? std::string(name->get_string()) : std::string());
    if (!stored) return stored.error();
    body["flow_version"] = stored->saved.version.number;
  }
  auto told = server.post(remote::session_path(options.parent, "/branch"), body);
  if (!told) return told.error();
  const json::value made(*std::move(told));
  return engine::BranchedSession{.id = number_at(made, "/id"),
                                 .rows = number_at(made, "/copied/rows"),
                                 .messages = number_at(made, "/copied/messages"),
                                 .flow_version = number_at(made, "/flow_version"),
                                 .status = ending_of(made.get_object()).status};
}

base::Result<engine::BranchedSession> make(Context& context, const BranchOptions& options,
                                           std::int64_t at) {
  auto server = context.server();
  if (!server) return server.error();
  return *server != nullptr ? make_there(context, **server, options, at)
                            : make_here(context, options, at);
}

// Is there such a step? Also where a server has it.
base::Result<void> find_step(Context& context, Id session, std::int64_t order) {
  auto server = context.server();
  if (!server) return server.error();
  if (*server != nullptr) {
    auto row = (*server)->get(remote::session_path(session, fmt::format("/log/{}", order)));
    if (!row) return row.error();
    return {};
  }
  auto reader = context.reader();
  if (!reader) return reader.error();
  if (auto row = store::load_session(**reader, session); !row) return row.error();
  if (auto row = store::load_log_row(**reader, session, order); !row) return row.error();
  return {};
}

// The last line is the command that goes on.
void say_how_to_go_on(const Context& context, const engine::BranchedSession& branched) {
  if (branched.status == model::SessionStatus::finished)
    fmt::print(stderr, "the flow ends there: session {} is finished\n", branched.id);
  else if (branched.status == model::SessionStatus::waiting)
    fmt::print(stderr, "{} session answer {} \"...\"\n", context.program_words(), branched.id);
  else
    fmt::print(stderr, "{} session resume {}\n", context.program_words(), branched.id);
}

base::Result<int> branch(Context& context, BranchOptions options) {
  if (options.has_edit && options.edit == "-")
    options.edit.assign(std::istreambuf_iterator<char>(std::cin), {});
  auto branched = make(context, options, options.order);
  if (!branched) return branched.error();
  if (context.json) {
    json::object out;
    out["session_id"] = branched->id;
    out["branched_from"] = json::object{{"session", options.parent}, {"order", options.order}};
    out["flow_version"] = branched->flow_version;
    out["status"] = model::to_text(branched->status);
    out["rows"] = branched->rows;
    out["messages"] = branched->messages;
    print_json(out);
    return kExitDone;
  }
  fmt::print("session {}\n", branched->id);
  fmt::print(stderr, "it begins as session {} stood after step {}{}: {} log rows, {} messages\n",
             options.parent, options.order, options.has_edit ? ", whose words are edited" : "",
             branched->rows, branched->messages);
  if (!options.version.empty() || !options.flow.empty())
    fmt::print(stderr, "it goes on under version {} of its flow\n", branched->flow_version);
  say_how_to_go_on(context, *branched);
  return kExitDone;
}

base::Result<int> rerun(Context& context, const BranchOptions& options) {
  if (auto found = find_step(context, options.parent, options.order); !found) return found.error();
  auto branched = make(context, options, options.order - 1);
  if (!branched) return branched.error();
  fmt::print(stderr, "session {} again from step {} on\n", options.parent, options.order);
  return perform_shown(context, branched->id, {});
}

}  // namespace

void add_session_branch(CLI::App& session, Context& context) {
  auto* branching = session.add_subcommand(
      "branch", "A new session that begins as this one stood after a step, to go another way");
  auto options = std::make_shared<BranchOptions>();
  branching->add_option("id", options->parent, "The session's id")->required();
  branching->add_option("--at", options->order, "The step, by its order in the log")
      ->required()
      ->check(CLI::PositiveNumber);
  branching->add_option("--topic", options->topic, "Another topic from there on");
  branching->add_option("--edit", options->edit,
                        "What that step says instead; - reads it from standard input");
  branching->add_option("--model", context.flags.model, "Another model from there on, as for run");
  auto* version = branching->add_option("--flow-version", options->version,
                                        "Another version of its flow from there on: a number, or "
                                        "latest");
  branching
      ->add_option("--flow", options->flow,
                   "The same flow's changed text from there on: a file, which is stored as a new "
                   "version")
      ->excludes(version);
  branching->footer(
      "Example: tertulia session branch 7 --at 5 --edit \"No. I disagree.\"\n"
      "         tertulia session branch 7 --at 5 --flow ./better.yaml\n"
      "         tertulia session log 7 shows the orders");
  run_on_parse(
      *branching,
      [&context, options, branching] {
        options->has_topic = branching->count("--topic") > 0;
        options->has_edit = branching->count("--edit") > 0;
        options->has_model = branching->count("--model") > 0;
        return branch(context, *options);
      },
      Place::anywhere);

  auto* rerunning =
      session.add_subcommand("rerun", "Performs a session again from a step on, as a new session");
  auto again = std::make_shared<BranchOptions>();
  rerunning->add_option("id", again->parent, "The session's id")->required();
  rerunning->add_option("--from", again->order, "The step, by its order in the log")
      ->required()
      ->check(CLI::PositiveNumber);
  rerunning->add_option("--model", context.flags.model, "Another model from there on, as for run");
  rerunning->add_option("--script", context.script_file, "What rehearsal says (YAML)");
  rerunning->add_option("--record", context.record_file,
                        "Keeps every call of a model in this file, after what it holds already");
  rerunning->footer("Example: tertulia session rerun 7 --from 5 --model openai/gpt-5-mini");
  run_on_parse(
      *rerunning,
      [&context, again, rerunning] {
        again->has_model = rerunning->count("--model") > 0;
        return rerun(context, *again);
      },
      Place::anywhere);
}

}  // namespace tertulia::cli
