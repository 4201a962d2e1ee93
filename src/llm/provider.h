// Provider is the seam between the engine and one wire protocol (openai, anthropic ...). A Request
// is neutral; a provider turns it into the exact bytes of its wire (`wire_body`, a pure function:
// the same request gives the same bytes for ever) and performs one attempt at a call. Retries are
// the engine's: every attempt is a row of model_calls, and back-off waits in its loop (retry.h).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace tertulia::llm {

// What a model is asked. Text only; `schema` asks for a structured output.
struct Turn {
  enum class Kind { user, assistant };
  Kind kind = Kind::user;
  std::string text;
};

// Sampling parameters; what is absent is not sent, so that the server's default holds.
struct Parameters {
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<std::int64_t> max_tokens;
  std::vector<std::string> stop;
  std::optional<std::int64_t> seed;
  std::string reasoning_effort;

  // As JSON with only the members that are set; read back by `from_json`.
  [[nodiscard]] base::json::object to_json() const;
  [[nodiscard]] static base::Result<Parameters> from_json(const base::json::value& value);
  // These, overlaid with what `over` sets.
  [[nodiscard]] Parameters with(const Parameters& over) const;
};

// Neutral facts about the request that a stand-in may use; no real provider sends them.
struct Hints {
  std::uint64_t seed = 0;  // the session's
  std::string path;        // the execution's: steps and iterations, without the attempt
  int attempt = 1;
  std::string step;            // the step's name or kind, as a rehearsal script calls it
  std::int64_t iteration = 0;  // how many times the step has run in this session, from 1
  std::string speaker;         // names, for people
  std::string addressee;
  std::string topic;
  std::string task;
  std::string language;                     // "en" or "zh"
  std::vector<std::string> shown_speakers;  // who spoke the messages shown, oldest first
  std::string last_shown;                   // the last message shown
  std::vector<std::string> documents;       // titles with version of the documents shown
};

struct Request {
  std::string model;
  std::string system;
  std::vector<Turn> turns;                   // the first and the last are of kind user
  std::optional<base::json::object> schema;  // the JSON Schema of a structured output
  bool server_schema = false;                // send it as the server's own JSON-schema mode
  Parameters parameters;
  Hints hints;
};

// How an attempt ended; stored with every model call. A closed list.
enum class Outcome {
  ok,
  connection,        // no connection, or it broke before the first byte of an answer
  timeout,           // connect, first byte, idle or total time ran out
  rate_limited,      // 429
  quota,             // out of credit: waiting does not help
  server,            // 5xx
  auth,              // 401, 403, no key
  refused,           // the server says that the request itself is wrong (400, 404, 422 ...)
  context_overflow,  // the request is too long for the model
  content_filter,    // the server withheld the answer
  incomplete,        // the stream broke off: no reason to stop and no mark of the end was seen
  malformed,         // what came is not the protocol
  wrong_output,      // the answer does not fit the step's output schema (set by the engine)
  interrupted,       // this process died during the call (set by the engine on resume)
  cancelled,         // somebody stopped it
};
inline constexpr std::array kOutcomes{
    Outcome::ok,
    Outcome::connection,
    Outcome::timeout,
    Outcome::rate_limited,
    Outcome::quota,
    Outcome::server,
    Outcome::auth,
    Outcome::refused,
    Outcome::context_overflow,
    Outcome::content_filter,
    Outcome::incomplete,
    Outcome::malformed,
    Outcome::wrong_output,
    Outcome::interrupted,
    Outcome::cancelled,
};
[[nodiscard]] std::string_view outcome_name(Outcome outcome);
[[nodiscard]] std::optional<Outcome> outcome_from_name(std::string_view name);

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t reasoning_tokens = 0;
  bool reported = false;  // false: the server did not say, the counts are estimates
};

struct Answer {
  Outcome outcome = Outcome::ok;
  std::string text;           // what was said; with any other outcome, what had come by then
  std::string finish_reason;  // stop or length on every wire; else as the wire says
  std::string error;          // for people, without secrets; empty when ok
  int http_status = 0;        // 0: none was seen
  std::string request_id;     // the provider's own, if it gave one
  std::string model;          // as the server names it, if it does
  Usage usage;
  std::optional<std::chrono::milliseconds> retry_after;  // what the server asked for
  std::chrono::milliseconds first_token{0};  // from start to the first text; 0 if none came
  std::chrono::milliseconds duration{0};
  std::chrono::milliseconds queued{0};  // before the start, at the profile's gate (gate.h)
};

// Deadlines of one attempt. Idle is the time between two *meaningful* events, not bytes.
struct Deadlines {
  std::chrono::milliseconds connect{10'000};
  std::chrono::milliseconds first_byte{120'000};
  std::chrono::milliseconds idle{60'000};
  std::chrono::milliseconds total{300'000};
};

// The caller's ears. Both are called on the transport's thread, or on the caller's before `start`
// or `cancel` returns; `done` exactly once, and nothing after it. They must not block.
struct Listener {
  std::function<void(std::string_view text)> on_text;
  std::function<void(Answer answer)> on_done;
};

// A call under way. Destroying it (or `cancel`) stops the call; then `on_done` reports cancelled
// if it has not reported yet. Safe from any thread but from inside the listener.
class Call {
 public:
  virtual ~Call() = default;
  virtual void cancel() = 0;
};

// A call that has reported before `start` returned.
[[nodiscard]] std::unique_ptr<Call> finished_call();

class Provider {
 public:
  virtual ~Provider() = default;
  // The name of the protocol: "openai", "rehearsal".
  [[nodiscard]] virtual std::string_view protocol() const = 0;
  // The exact bytes of the request's body on the wire.
  [[nodiscard]] virtual std::string wire_body(const Request& request) const = 0;
  // Starts one attempt. Thread-safe. `body` is what wire_body gave for `request`.
  [[nodiscard]] virtual std::unique_ptr<Call> start(const Request& request, std::string body,
                                                    const Deadlines& deadlines,
                                                    Listener listener) = 0;
  // An estimate of the tokens of a text before a call, by fixed rules: the same on every machine.
  [[nodiscard]] virtual std::int64_t estimate_tokens(std::string_view text) const = 0;
};

// A provider that makes the bytes and estimates of `original`, which is never called: every call
// ends at once as `outcome`, with this error. For what may be shown and proved, but not sent.
[[nodiscard]] std::shared_ptr<Provider> make_refusing(std::shared_ptr<Provider> original,
                                                      Outcome outcome, std::string error);

}  // namespace tertulia::llm
