#include "server/front.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "server/compress.h"
#include "server/metrics.h"
#include "server/problem.h"
#include "store/idempotency.h"

namespace tertulia::server {
namespace {

constexpr std::size_t kCompressFrom = 1024;  // bytes
constexpr std::size_t kMaxKey = 255;

std::string etag_of(std::string_view body) {
  return fmt::format("\"{}\"", base::sha256_hex(body).substr(0, 32));
}

// As it may stand in a line of the log: a path may hold anything, once it is decoded.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : hide_tokens(base::clip_bytes(text, 500))) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out;
}

// What an answer is kept under.
std::string kept_key(const Request& request) {
  std::string key = request.path;
  for (const auto& [name, value] : request.query)
    key += fmt::format("\n{}:{}={}", name, value.size(), value);
  return key;
}

// The path with the answer's member in the place of its name.
std::string filled(std::string_view path, std::string_view answer) {
  const auto begin = path.find('{'), end = path.find('}');
  const auto json = base::parse_json(answer);
  const auto* member = json && json->is_object()
                           ? json->get_object().if_contains(path.substr(begin + 1, end - begin - 1))
                           : nullptr;
  if (member == nullptr) return {};
  return std::string(path.substr(0, begin)) + encode_segment(member->is_string()
                                                                 ? std::string(member->get_string())
                                                                 : base::to_text(*member));
}

// Is the tag one of a list, or is the list "*"? A weak mark is not looked at: If-None-Match is
// compared so, and nobody was given a weak one for If-Match.
bool has_tag(std::string_view list, std::string_view tag) {
  return list == "*" || list.find(tag) != std::string_view::npos;
}

}  // namespace

Front::Front(FrontOptions options, const Router& router, const TokenBook& tokens,
             Readiness& readiness, Workers& workers, Workers& scanners, engine::Writer& writer,
             std::function<void(const Answered&)> answered,
             std::function<void(std::chrono::nanoseconds)> written)
    : options_(std::move(options)),
      router_(router),
      tokens_(tokens),
      readiness_(readiness),
      workers_(workers),
      scanners_(scanners),
      writer_(writer),
      answered_(std::move(answered)),
      written_(std::move(written)),
      guard_(options_.guard, [this](std::string_view token) { return tokens_.find(token); }),
      id_prefix_(fmt::format("{:08x}", base::fresh_seed() & 0xffffffff)) {}

Door::Admission Front::refused(const Admitted& request, Response response) {
  finish(request, response);
  Admission admission;
  admission.refusal = std::move(response);
  return admission;
}

Door::Admission Front::admit(const Head& head) {
  auto request = std::make_shared<Admitted>();
  request->since = std::chrono::steady_clock::now();
  request->id = fmt::format("{}-{}", id_prefix_, ++last_id_);
  request->is_head = head.method == "HEAD";
  request->method = request->is_head ? "GET" : head.method;
  request->path = head.target.substr(0, head.target.find('?'));
  if (auto refusal = guard_.refuse(head)) return refused(*request, *std::move(refusal));
  request->cors = guard_.cors_fields(head);
  auto target = head.target == "*" ? Target{.path = "*", .query = {}} : parse_target(head.target);
  if (!target)
    return refused(*request, problem(400, "invalid", "the request's path cannot be read",
                                     "dots, slashes and bytes that are no UTF-8 have no place in "
                                     "a path's parts"));
  request->path = std::move(target->path);
  request->query = std::move(target->query);
  for (const auto& [name, value] : head.fields) {
    auto& known = request->fields[name];
    known = known.empty() ? value : known + ", " + value;
  }
  if (head.method == "OPTIONS") {
    const auto found = router_.find("GET", request->path);
    if (found.allow.empty() && request->path != "*")
      return refused(*request, problem(404, "not_found", "there is nothing at this path"));
    Response response{.status = 204, .content_type = ""};
    response.fields.emplace_back("Allow", found.allow.empty() ? "GET, HEAD, OPTIONS" : found.allow);
    return refused(*request, std::move(response));
  }
  auto found = router_.find(head.method, request->path);
  if (found.route == nullptr && found.allow.empty())
    return refused(*request,
                   problem(404, "not_found", fmt::format("there is nothing at {}", request->path),
                           "/api/v1/openapi.json lists what there is"));
  // Who may not come in is told so before what is behind the door.
  const bool is_open = found.route != nullptr && found.route->scope == Scope::none;
  if (!is_open) {
    if (auto refusal = guard_.identify(head, request->caller))
      return refused(*request, *std::move(refusal));
  }
  if (found.route == nullptr) {
    Response response =
        problem(405, "invalid", fmt::format("{} is not possible at {}", head.method, request->path),
                "possible are " + found.allow);
    response.fields.emplace_back("Allow", found.allow);
    return refused(*request, std::move(response));
  }
  request->route = found.route;
  request->captured = std::move(found.captured);
  if (auto refusal = Guard::refuse_scope(request->caller, request->route->scope))
    return refused(*request, *std::move(refusal));
  if (auto refusal = refuse_rate(request->caller)) return refused(*request, *std::move(refusal));
  Admission admission;
  admission.max_body = found.route->max_body;
  admission.request = std::move(request);
  return admission;
}

std::optional<Response> Front::refuse_rate(const Caller& caller) {
  if (options_.requests_a_minute <= 0) return {};
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(rates_mutex_);
  auto& bucket = rates_.try_emplace(caller.name, llm::TokenBucket(options_.requests_a_minute, now))
                     .first->second;
  const auto when = bucket.when(1, now);
  if (when <= now) {
    bucket.take(1);
    return {};
  }
  const auto wait = std::chrono::ceil<std::chrono::seconds>(when - now);
  Response response =
      problem(429, "rate_limited",
              fmt::format("more than {} requests a minute", options_.requests_a_minute),
              "send fewer, or raise server: {requests_per_minute: N}");
  response.fields.emplace_back("Retry-After", std::to_string(wait.count()));
  return response;
}

void Front::answer(std::shared_ptr<Request> taken, std::function<void(Response)> respond) {
  auto request = std::static_pointer_cast<Admitted>(std::move(taken));
  auto finished = [this, request, respond = std::move(respond)](Response response) {
    finish(*request, response);
    respond(std::move(response));
  };
  if (!request->route->needs_database) {
    Desk desk;
    if (request->route->async) return request->route->async(*request, desk, finished);
    return finished(request->route->handler(*request, desk));
  }
  auto shared = std::make_shared<decltype(finished)>(std::move(finished));
  Workers& workers = request->route->reads_much ? scanners_ : workers_;
  if (request->route->reads_much && !readiness_.trouble()) {
    auto known = kept_.find(kept_key(*request), std::chrono::steady_clock::now());
    if (known.answer) {
      if (known.is_to_be_renewed) {
        const auto again = std::make_shared<Admitted>(*request);
        again->renews = true;
        // Where they have too much to do, it is old at last, and made for who asks then.
        static_cast<void>(workers.submit([this, again](auto reader) {
          bool is_good = true;
          perform(again, reader,
                  [&is_good](const Response& response) { is_good = response.status != 503; });
          return is_good;
        }));
      }
      return (*shared)(*std::move(known.answer));
    }
  }
  const auto queued = std::chrono::steady_clock::now();
  const bool taken_on = workers.submit([this, request, shared, queued](auto reader) {
    request->waited = std::chrono::steady_clock::now() - queued;
    // An answer may come long after the worker has gone on to something else.
    const auto is_good = std::make_shared<std::atomic<bool>>(true);
    perform(request, reader, [shared, is_good](Response response) {
      *is_good = response.status != 503;
      (*shared)(std::move(response));
    });
    return is_good->load();
  });
  if (!taken_on) {
    Response response = problem(503, "overloaded", "more requests wait than are taken");
    response.fields.emplace_back("Retry-After", "1");
    (*shared)(std::move(response));
  }
}

void Front::perform(const std::shared_ptr<Admitted>& request, base::Result<db::Connection*> reader,
                    Respond respond) {
  // A database error is looked into at once: the caller is to hear what is wrong with the schema,
  // not which statement met it.
  const auto explained = [this](Response response) {
    if (response.status != 503) return response;
    const auto trouble = readiness_.look();
    if (!trouble) return response;
    Response told = problem(*trouble);
    told.fields.insert(told.fields.end(), response.fields.begin(), response.fields.end());
    return told;
  };
  const Route& route = *request->route;
  if (const auto trouble = readiness_.trouble()) {
    if (!route.answers_in_trouble) return respond(problem(*trouble));
    reader = nullptr;
  } else if (!reader) {
    return respond(explained(problem(reader.error())));
  }
  Desk desk{*reader};
  const std::string key(request->field("idempotency-key"));
  const bool has_key = route.is_idempotent_by_key && !key.empty();
  if (has_key)
    if (auto known = claim_key(*request, key)) return respond(explained(*std::move(known)));
  std::unique_lock<std::mutex> edit;
  if (!request->field("if-match").empty() && (route.method == "PUT" || route.method == "DELETE")) {
    edit = std::unique_lock(edits_mutex_);
    if (auto refusal = refuse_match(*request, desk)) return respond(*std::move(refusal));
  }
  if (route.async)
    return route.async(*request, desk, [explained, respond = std::move(respond)](Response later) {
      respond(explained(std::move(later)));
    });
  Response response =
      explained(route.reads_much ? answer_kept(*request, desk) : route.handler(*request, desk));
  if (has_key) settle_key(*request, key, response);
  respond(std::move(response));
}

Response Front::answer_kept(const Admitted& request, Desk& desk) {
  const std::string key = kept_key(request);
  const auto begin = std::chrono::steady_clock::now();
  if (!request.renews)  // it may have been made while this one waited
    if (auto known = kept_.find(key, begin); known.answer && !known.is_to_be_renewed)
      return *std::move(known.answer);
  Response response = request.route->handler(request, desk);
  const auto end = std::chrono::steady_clock::now();
  if (response.status == 200) kept_.keep(key, response, end - begin, end);
  return response;
}

std::optional<Response> Front::claim_key(const Admitted& request, const std::string& key) {
  if (key.size() > kMaxKey)
    return problem(422, "invalid",
                   fmt::format("an Idempotency-Key has at most {} characters", kMaxKey));
  const std::string sha256 =
      base::sha256_hex(fmt::format("{} {}\n{}", request.method, request.path, request.body));
  base::Result<std::optional<model::IdempotencyKey>> known = std::optional<model::IdempotencyKey>();
  writer_.run([&](db::Connection& connection) {
    auto transaction = db::Transaction::begin(connection);
    if (!transaction) {
      known = transaction.error();
      return;
    }
    known =
        store::claim_key(connection, request.caller.name, key, sha256, base::Clock::system().now());
    if (!known) return;
    if (auto done = transaction->commit(); !done) known = done.error();
  });
  if (!known) return problem(known.error());
  if (!*known) return {};
  const model::IdempotencyKey& stored = **known;
  if (stored.request_sha256 != sha256)
    return problem(422, "idempotency_key_reused",
                   "this Idempotency-Key was sent with another request",
                   "make a new key for each request that is another");
  if (!stored.status) {
    Response response =
        problem(409, "in_progress", "the request with this Idempotency-Key is still being done");
    response.fields.emplace_back("Retry-After", "1");
    return response;
  }
  Response response{.status = static_cast<int>(*stored.status),
                    .content_type = stored.content_type.value_or("application/json"),
                    .body = stored.body.value_or("")};
  response.fields.emplace_back("Idempotency-Replayed", "true");
  return response;
}

void Front::settle_key(const Admitted& request, const std::string& key, const Response& response) {
  // What came to nothing for a passing reason may be tried again with the same key.
  const bool is_final = response.status < 500 && response.status != 429;
  base::Result<void> done;
  writer_.run([&](db::Connection& connection) {
    done = is_final ? store::answer_key(connection, request.caller.name, key, response.status,
                                        response.content_type, response.body)
                    : store::drop_key(connection, request.caller.name, key);
  });
  if (!done)
    spdlog::warn("{}: the answer to a key is not kept: {}", request.id, done.error().message);
}

std::optional<Response> Front::refuse_match(const Admitted& request, Desk& desk) const {
  const auto present = router_.find("GET", request.path);
  if (present.route == nullptr || !present.route->handler) return {};
  Request read = request;
  read.method = "GET";
  read.body.clear();
  const Response now = present.route->handler(read, desk);
  if (now.status == 200 && has_tag(request.field("if-match"), etag_of(now.body))) return {};
  return problem(412, "changed", "it is not what If-Match says it is: it was changed meanwhile",
                 "read it again, and send your change with its ETag");
}

void Front::finish(const Admitted& request, Response& response) const {
  if (request.path.rfind("/v1/", 0) == 0 && response.content_type == "application/problem+json")
    response = as_openai_error(std::move(response));
  if (response.status >= 400) response.body = hide_tokens(response.body);
  if (response.status == 201 && !request.route->made.empty())
    response.fields.emplace_back("Location", filled(request.route->made, response.body));
  const std::size_t size = response.body.size();
  if (response.status == 200 && request.method == "GET" && !response.outlet &&
      response.content_type != Metrics::kContentType) {
    const std::string tag = etag_of(response.body);
    response.fields.emplace_back("ETag", tag);
    response.fields.emplace_back("Cache-Control", "no-cache");
    if (const auto known = request.field("if-none-match"); !known.empty() && has_tag(known, tag)) {
      response.status = 304;
      response.body.clear();
    }
  }
  if (!response.outlet && response.body.size() >= kCompressFrom &&
      accepts_gzip(request.field("accept-encoding"))) {
    if (std::string packed = gzip(response.body); !packed.empty()) {
      response.body = std::move(packed);
      response.fields.emplace_back("Content-Encoding", "gzip");
    }
  }
  response.fields.emplace_back("Vary", "Accept-Encoding");
  response.fields.emplace_back("X-Request-Id", request.id);
  for (const auto& field : request.cors) response.fields.push_back(field);
  const auto time = std::chrono::steady_clock::now() - request.since;
  spdlog::info("{} {} {} {} {} bytes {:.1f} ms by {}", request.id,
               request.is_head ? "HEAD" : request.method, printable(request.path), response.status,
               size, std::chrono::duration<double, std::milli>(time).count(), request.caller.name);
  if (answered_)
    answered_({.route = request.route,
               .method = request.method,
               .status = response.status,
               .time = std::chrono::duration_cast<std::chrono::nanoseconds>(time),
               .waited = request.waited});
}

}  // namespace tertulia::server
