// Front is the way of every request through the server: the guard, the caller, the rate, the route,
// the database's readiness, the idempotency key, the handler on a worker, then what all answers
// have in common (ETag, compression, request id) and the log's line.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "engine/writer.h"
#include "llm/token_bucket.h"
#include "server/door.h"
#include "server/guard.h"
#include "server/kept_answers.h"
#include "server/readiness.h"
#include "server/router.h"
#include "server/token_book.h"
#include "server/workers.h"

namespace tertulia::server {

struct FrontOptions {
  GuardOptions guard;
  std::int64_t requests_a_minute = 60'000;  // of one caller; 0: no limit
};

// What was answered, for who counts.
struct Answered {
  const Route* route = nullptr;  // null: none was found
  std::string method;
  int status = 0;
  std::chrono::nanoseconds time{0};    // from its head to its answer
  std::chrono::nanoseconds waited{0};  // of it, for a worker
};

class Front final : public Door {
 public:
  // All outlive it. `scanners` do what reads much. `answered` and `written` are
  // called on any thread.
  Front(FrontOptions options, const Router& router, const TokenBook& tokens, Readiness& readiness,
        Workers& workers, Workers& scanners, engine::Writer& writer,
        std::function<void(const Answered&)> answered,
        std::function<void(std::chrono::nanoseconds)> written);

  [[nodiscard]] Admission admit(const Head& head) override;
  void answer(std::shared_ptr<Request> request, std::function<void(Response)> respond) override;
  void written(std::chrono::nanoseconds after) override { written_(after); }

 private:
  // What is known of a request beside what handlers see.
  struct Admitted : Request {
    const Route* route = nullptr;
    base::SteadyTime since;
    std::chrono::nanoseconds waited{0};
    bool is_head = false;
    bool renews = false;  // is made anew for KeptAnswers
    std::vector<std::pair<std::string, std::string>> cors;
  };
  [[nodiscard]] Admission refused(const Admitted& request, Response response);
  [[nodiscard]] std::optional<Response> refuse_rate(const Caller& caller);
  void perform(const std::shared_ptr<Admitted>& request, base::Result<db::Connection*> reader,
               Respond respond);
  // The answer of a route that reads much.
  [[nodiscard]] Response answer_kept(const Admitted& request, Desk& desk);
  // The stored answer, or that the key cannot be used; nothing where the request is to be done.
  [[nodiscard]] std::optional<Response> claim_key(const Admitted& request, const std::string& key);
  void settle_key(const Admitted& request, const std::string& key, const Response& response);
  // The answer to If-Match where the thing is another one by now.
  [[nodiscard]] std::optional<Response> refuse_match(const Admitted& request, Desk& desk) const;
  void finish(const Admitted& request, Response& response) const;

  const FrontOptions options_;
  const Router& router_;
  const TokenBook& tokens_;
  Readiness& readiness_;
  Workers& workers_;
  Workers& scanners_;
  engine::Writer& writer_;
  const std::function<void(const Answered&)> answered_;
  const std::function<void(std::chrono::nanoseconds)> written_;
  const Guard guard_;
  const std::string id_prefix_;
  std::atomic<std::uint64_t> last_id_ = 0;
  std::mutex rates_mutex_;
  std::map<std::string, llm::TokenBucket> rates_;
  KeptAnswers kept_;
  std::mutex edits_mutex_;  // an If-Match and the edit that it allows are one
};

}  // namespace tertulia::server
