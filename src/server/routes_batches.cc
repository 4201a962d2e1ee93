// Batches: one flow version over many inputs, a session each. Who asks has the inputs and says when
// each begins (`tertulia batch --server` does); what has become of every one is kept here, so that
// all of these requests may be sent again.
#include <fmt/format.h>

#include "engine/batch_here.h"
#include "engine/batch_sessions.h"
#include "server/api.h"
#include "server/batch_request.h"
#include "server/body.h"
#include "service/flow_library.h"
#include "service/new_session.h"
#include "service/role_library.h"
#include "store/batches.h"
#include "store/flows.h"
#include "store/sessions.h"

namespace tertulia::server {

namespace json = base::json;

namespace {

using engine::BatchCasting;
using engine::BatchInput;
using model::Id;

constexpr std::size_t kMaxBody = std::size_t{16} << 20;  // an input may have 4 MB

// The stored version of that number, or of the flow's text as it is now.
base::Result<service::StoredFlow> flow_of(const Api& api, Desk& desk, const std::string& name,
                                          std::optional<std::int64_t> number) {
  if (number) return flow_version(api, desk, name, *number);
  auto text = service::find_flow_text(*desk.reader, name);
  if (!text) return text.error();
  const auto checked =
      service::check_flow_text(*text, service::surroundings_of(*desk.reader, api.profile_names));
  base::Result<service::StoredFlow> stored = service::StoredFlow();
  auto done = write(api, [&](db::Connection& connection) -> base::Result<void> {
    stored = service::store_flow(connection, *text, checked, base::Clock::system().now());
    return {};
  });
  if (!done) return done.error();
  return stored;
}

// The flow of a batch that there is.
base::Result<service::StoredFlow> flow_of(const Api& api, Desk& desk, const model::Batch& batch) {
  auto version = store::load_flow_version(*desk.reader, batch.flow_version_id);
  if (!version) return version.error();
  auto flow = store::load_flow(*desk.reader, version->flow_template_id);
  if (!flow) return flow.error();
  return flow_version(api, desk, flow->name, version->number);
}

// A casting, and the flow that it borrows.
struct Casting {
  std::unique_ptr<service::StoredFlow> flow;
  BatchCasting casting;
};
base::Result<Casting> casting_of(const Api& api, Desk& desk, service::StoredFlow stored,
                                 const std::string& model) {
  auto flow = std::make_unique<service::StoredFlow>(std::move(stored));
  engine::CastingCall call;
  call.program = &flow->program;
  call.flow_template_id = flow->saved.version.flow_template_id;
  call.version = &flow->saved.version;
  call.profile = model;
  auto casting = BatchCasting::make(std::move(call), api.profiles, service::roles_of(*desk.reader),
                                    api.providers);
  if (!casting) return casting.error();
  return Casting{std::move(flow), *std::move(casting)};
}

engine::BatchSessions sessions_in(const Api& api, Desk& desk, Id batch) {
  return {api.engine.writer(), *desk.reader, api.flows, batch};
}

base::Result<model::Batch> batch_of(const Request& request, Desk& desk) {
  auto id = id_of(request, "batch");
  if (!id) return id.error();
  return store::load_batch(*desk.reader, *id);
}

void put_number(json::object& out, const char* name, std::optional<double> number) {
  if (number) out[name] = *number;
}

base::Result<json::object> batch_json(const Api& api, Desk& desk, const model::Batch& batch) {
  auto version = store::load_flow_version(*desk.reader, batch.flow_version_id);
  if (!version) return version.error();
  auto flow = store::load_flow(*desk.reader, version->flow_template_id);
  if (!flow) return flow.error();
  auto standing = sessions_in(api, desk, batch.id).standing();
  if (!standing) return standing.error();
  json::object out;
  out["id"] = batch.id;
  out["name"] = batch.name;
  out["flow"] = flow->name;
  out["flow_version"] = version->number;
  out["results"] = standing->results;
  out["model_calls"] = standing->usage.calls;
  out["prompt_tokens"] = standing->usage.prompt_tokens;
  out["completion_tokens"] = standing->usage.completion_tokens;
  put_number(out, "cost_usd", standing->usage.cost_usd);
  out["created_at"] = base::to_iso8601(batch.created_at);
  return out;
}

Response show(const Api& api, const Request& request, Desk& desk) {
  auto batch = batch_of(request, desk);
  if (!batch) return problem(batch.error());
  return respond_with(batch_json(api, desk, *batch));
}

Response check(const Api& api, const Request& request, Desk& desk) {
  Body body(request.body);
  const auto name = body.text("flow");
  const auto version = body.integer("flow_version");
  const std::string model = model_of(body, api.default_profile);
  const bool needs_price = body.boolean("needs_price").value_or(false);
  const bool estimates = body.boolean("estimate").value_or(false);
  const auto inputs = inputs_of(body);
  if (!name) body.mistake("flow", "the name of a flow is wanted here");
  if (auto refusal = body.refusal()) return *std::move(refusal);
  auto flow = flow_of(api, desk, *name, version);
  if (!flow) return Body::refuse(flow.error(), version ? "/flow_version" : "/flow");
  auto casting = casting_of(api, desk, *std::move(flow), model);
  if (!casting) return Body::refuse(casting.error(), "/model");
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (auto good = casting->casting.check(inputs[i], needs_price); !good)
      return Body::refuse(good.error(), fmt::format("/inputs/{}", i));
  json::object out;
  out["ok"] = true;
  if (estimates) {
    auto sum = engine::sum_estimates(casting->casting, inputs);
    if (!sum) return Body::refuse(sum.error(), "/inputs");
    json::object estimate;
    estimate["calls"] = sum->calls;
    estimate["prompt_tokens"] = sum->prompt_tokens;
    estimate["completion_tokens"] = sum->completion_tokens;
    put_number(estimate, "cost_usd", sum->cost_usd);
    out["estimate"] = std::move(estimate);
  }
  return json_response(out);
}

Response find_or_make(const Api& api, const Request& request, Desk& desk) {
  Body body(request.body);
  const auto flow_name = body.text("flow");
  const auto version = body.integer("flow_version");
  const std::string model = model_of(body, api.default_profile);
  const auto source = body.text("source");
  const std::string name = body.text("name").value_or("");
  if (!flow_name) body.mistake("flow", "the name of a flow is wanted here");
  if (!source)
    body.mistake("source", "where the inputs are from is wanted here, such as their file's path");
  if (auto refusal = body.refusal()) return *std::move(refusal);
  auto flow = flow_of(api, desk, *flow_name, version);
  if (!flow) return Body::refuse(flow.error(), version ? "/flow_version" : "/flow");
  auto casting = casting_of(api, desk, *std::move(flow), model);
  if (!casting) return Body::refuse(casting.error(), "/model");
  auto found = engine::BatchSessions::find_or_make(api.engine.writer(), *desk.reader,
                                                   casting->casting, *source, name);
  if (!found) return problem(found.error());
  auto batch = store::load_batch(*desk.reader, found->id);
  if (!batch) return problem(batch.error());
  return respond_with(batch_json(api, desk, *batch), found->is_new ? 201 : 200);
}

Response place(const Api& api, const Request& request, Desk& desk) {
  auto batch = batch_of(request, desk);
  if (!batch) return problem(batch.error());
  Body body(request.body);
  const std::string model = model_of(body, api.default_profile);
  const auto inputs = inputs_of(body);
  if (auto refusal = body.refusal()) return *std::move(refusal);
  auto flow = flow_of(api, desk, *batch);
  if (!flow) return problem(flow.error());
  auto casting = casting_of(api, desk, *std::move(flow), model);
  if (!casting) return Body::refuse(casting.error(), "/model");
  auto placed = sessions_in(api, desk, batch->id).place(casting->casting, inputs);
  if (!placed)
    return placed.error().code == base::Code::invalid ? Body::refuse(placed.error(), "/inputs")
                                                      : problem(placed.error());
  json::array items;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const engine::PlacedInput& each = (*placed)[i];
    json::object item;
    item["id"] = inputs[i].id;
    item["has_result"] = each.has_result;
    if (each.session != 0) item["session"] = each.session;
    item["status"] = model::to_text(each.status);
    item["spent_usd"] = each.spent_usd;
    items.push_back(std::move(item));
  }
  return json_response(json::object{{"items", std::move(items)}});
}

// Not found where the session is of none of the batch's inputs.
base::Result<void> check_is_of(Desk& desk, const model::Batch& batch, Id session) {
  auto found = store::find_batch_of_session(*desk.reader, session);
  if (!found) return found.error();
  if (*found == batch.id) return {};
  return base::Error{
      .code = base::Code::not_found,
      .message = fmt::format("batch {} has no input whose session is {}", batch.id, session)};
}

Response begin(const Api& api, const Request& request, Desk& desk) {
  auto batch = batch_of(request, desk);
  if (!batch) return problem(batch.error());
  Body body(request.body);
  const auto sessions = sessions_of(body);
  if (auto refusal = body.refusal()) return *std::move(refusal);
  std::vector<base::Result<void>> begun;  // in their order
  std::vector<Id> own;
  for (const Id id : sessions) {
    begun.push_back(check_is_of(desk, *batch, id));
    if (!begun.back()) continue;
    api.stage.let_end(*desk.reader, id);
    own.push_back(id);
  }
  auto results = api.stage.begin_all(own);
  for (std::size_t i = 0, of_own = 0; i < sessions.size(); ++i)
    if (begun[i]) begun[i] = std::move(results[of_own++]);
  json::array refused;
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    if (begun[i]) continue;
    json::object one;
    one["session"] = sessions[i];
    one["code"] = base::code_name(begun[i].error().code);
    one["message"] = begun[i].error().message;
    refused.push_back(std::move(one));
  }
  return json_response(json::object{{"refused", std::move(refused)}}, 202);
}

Response list_stopped(const Api& api, const Request& request, Desk& desk) {
  auto batch = batch_of(request, desk);
  if (!batch) return problem(batch.error());
  Body body(request.body);
  const auto sessions = sessions_of(body);
  if (auto refusal = body.refusal()) return *std::move(refusal);
  json::array items;
  for (const Id id : sessions) {
    if (api.engine.performs(id)) continue;
    if (auto is_own = check_is_of(desk, *batch, id); !is_own) return problem(is_own.error());
    auto row = store::load_session(*desk.reader, id);
    if (!row) return problem(row.error());
    auto usage = store::sum_usage(*desk.reader, id);
    if (!usage) return problem(usage.error());
    json::object item;
    item["session"] = id;
    item["status"] = model::to_text(row->status);
    if (row->stop_reason) item["stop_reason"] = model::to_text(*row->stop_reason);
    if (row->error_reason) item["reason"] = *row->error_reason;
    put_number(item, "spent_usd", usage->cost_usd);
    items.push_back(std::move(item));
  }
  return json_response(json::object{{"items", std::move(items)}});
}

Response pause(const Api& api, const Request& request, Desk& desk) {
  auto batch = batch_of(request, desk);
  if (!batch) return problem(batch.error());
  Body body(request.body);
  const auto sessions = sessions_of(body);
  const bool now = body.boolean("now").value_or(false);
  if (auto refusal = body.refusal()) return *std::move(refusal);
  using Asked = engine::Engine::Request;
  for (const Id id : sessions)
    if (auto is_own = check_is_of(desk, *batch, id); !is_own) return problem(is_own.error());
  for (const Id id : sessions)
    if (api.engine.performs(id)) api.engine.ask(id, now ? Asked::pause_now : Asked::pause);
  return {.status = 204, .content_type = ""};
}

Response give_lines(const Api& api, const Request& request, Desk& desk) {
  auto batch = batch_of(request, desk);
  if (!batch) return problem(batch.error());
  Body body(request.body);
  const auto sessions = sessions_of(body);
  if (auto refusal = body.refusal()) return *std::move(refusal);
  auto lines = sessions_in(api, desk, batch->id).give_lines(sessions);
  if (!lines) return problem(lines.error());
  return json_response(json::object{{"results", *lines}});
}

Response list_results(const Api& api, const Request& request, Desk& desk) {
  auto batch = batch_of(request, desk);
  if (!batch) return problem(batch.error());
  auto wish = page_of(request);
  if (!wish) return problem(wish.error());
  engine::BatchView view;
  if (const std::string format = query_of(request, "format"); !format.empty()) {
    const auto known = engine::batch_format_from(format);
    if (!known)
      return problem(400, "invalid", fmt::format("format is '{}'", format),
                     "it is jsonl, openai or sharegpt");
    view.format = *known;
  }
  view.as = query_of(request, "as");
  view.roles = words_of(query_of(request, "roles"));
  auto flow = flow_of(api, desk, *batch);
  if (!flow) return problem(flow.error());
  if (auto fits = engine::check_view(view, flow->program); !fits) return problem(fits.error());
  const std::int64_t first = wish->cursor.value_or(0) + 1;
  auto lines = sessions_in(api, desk, batch->id).lines(view, first, wish->limit);
  if (!lines) return problem(lines.error());
  json::array items;
  for (const engine::ResultLine& line : *lines) {
    json::object item;
    item["line"] = line.number;
    item["input"] = line.input;
    item["text"] = line.text ? json::value(*line.text) : json::value(nullptr);
    items.push_back(std::move(item));
  }
  std::optional<std::int64_t> next;
  if (static_cast<std::int64_t>(items.size()) == wish->limit) next = lines->back().number;
  return page_response(std::move(items), next);
}

Response list_open(const Api&, const Request& request, Desk& desk) {
  auto batch = batch_of(request, desk);
  if (!batch) return problem(batch.error());
  auto wish = page_of(request);
  if (!wish) return problem(wish.error());
  auto inputs =
      store::load_open_batch_inputs(*desk.reader, batch->id, wish->cursor.value_or(0), wish->limit);
  if (!inputs) return problem(inputs.error());
  json::array items;
  for (const store::OpenBatchInput& each : *inputs) {
    json::object item;
    item["number"] = each.id;
    item["id"] = each.input_id;
    item["session"] = each.session_id;
    item["status"] = model::to_text(each.status);
    if (each.stop_reason) item["stop_reason"] = model::to_text(*each.stop_reason);
    if (!each.error_reason.empty()) item["reason"] = each.error_reason;
    items.push_back(std::move(item));
  }
  std::optional<std::int64_t> next;
  if (static_cast<std::int64_t>(items.size()) == wish->limit) next = inputs->back().id;
  return page_response(std::move(items), next);
}

}  // namespace

void add_batch_routes(Router& router, const Api& api) {
  using Answer = Response (*)(const Api&, const Request&, Desk&);
  const auto by = [&api](Answer answer) -> Handler {
    return
        [&api, answer](const Request& request, Desk& desk) { return answer(api, request, desk); };
  };
  router.add({.method = "POST",
              .path = "/api/v1/batches/check",
              .scope = Scope::run,
              .summary = "Could sessions of a flow be made of these inputs? And what would they "
                         "ask of their models",
              .tag = "batches",
              .request = "BatchCheck",
              .response = "BatchChecked",
              .max_body = kMaxBody,
              .handler = by(check)});
  router.add({.method = "POST",
              .path = "/api/v1/batches",
              .scope = Scope::run,
              .summary = "Finds the batch of this flow, model, source and name, or makes it (201)",
              .tag = "batches",
              .request = "NewBatch",
              .response = "Batch",
              .status = 201,
              .made = "/api/v1/batches/{id}",
              .handler = by(find_or_make)});
  router.add({.method = "GET",
              .path = "/api/v1/batches/{id}",
              .scope = Scope::read,
              .summary = "How a batch stands",
              .tag = "batches",
              .response = "Batch",
              .handler = by(show)});
  router.add(
      {.method = "POST",
       .path = "/api/v1/batches/{id}/inputs",
       .scope = Scope::run,
       .summary = "Makes a session of each input that has none, and says what each has come to",
       .tag = "batches",
       .request = "BatchInputs",
       .response = "PlacedInputs",
       .max_body = kMaxBody,
       .handler = by(place)});
  router.add({.method = "POST",
              .path = "/api/v1/batches/{id}/begin",
              .scope = Scope::run,
              .summary = "Begins sessions of the batch, or goes on with them",
              .tag = "batches",
              .request = "BatchSessions",
              .response = "RefusedSessions",
              .status = 202,
              .handler = by(begin)});
  router.add({.method = "POST",
              .path = "/api/v1/batches/{id}/stopped",
              .scope = Scope::run,
              .summary = "Which of these sessions are not performed (any more), and why",
              .tag = "batches",
              .request = "BatchSessions",
              .response = "StoppedSessions",
              .handler = by(list_stopped)});
  router.add({.method = "POST",
              .path = "/api/v1/batches/{id}/pause",
              .scope = Scope::run,
              .summary = "Pauses these sessions after their present step, or now",
              .tag = "batches",
              .request = "BatchPause",
              .status = 204,
              .handler = by(pause)});
  router.add(
      {.method = "POST",
       .path = "/api/v1/batches/{id}/results",
       .scope = Scope::run,
       .summary = "Gives each of these sessions that is finished the next line of the results",
       .tag = "batches",
       .request = "BatchSessions",
       .response = "BatchResults",
       .handler = by(give_lines)});
  router.add({.method = "GET",
              .path = "/api/v1/batches/{id}/results",
              .scope = Scope::read,
              .summary = "The results, a line each",
              .tag = "batches",
              .query = page_parameters({{"format", "string", "jsonl, openai or sharegpt"},
                                        {"as", "string", "the role that is the assistant"},
                                        {"roles", "string", "whose words are kept, with commas"}}),
              .response = "BatchResultPage",
              .handler = by(list_results)});
  router.add({.method = "GET",
              .path = "/api/v1/batches/{id}/open",
              .scope = Scope::read,
              .summary = "Inputs that have no result",
              .tag = "batches",
              .query = page_parameters(),
              .response = "OpenInputPage",
              .handler = by(list_open)});
}

}  // namespace tertulia::server
