// Metrics counts what a server and its engine do, and shows it in Prometheus' text format
// (docs/observability.md has every name with its meaning). Labels have few values, however long the
// server runs: no ids, routes by their patterns, status codes by their class, and profiles beyond
// the first hundred as "other".
//
// Any thread. What it counts is of this process and begins at 0; what `Gauges` and the database
// tell is as it stands when it is shown.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "db/connection.h"
#include "engine/observer.h"

namespace tertulia::server {

// What others know and Metrics only shows.
struct Gauges {
  bool is_ready = false;  // the schema is proved
  std::size_t writer_waiting = 0;
  std::size_t workers_waiting = 0;
  std::size_t followers = 0;
  std::uint64_t dropped_tokens = 0;
  struct Spans {
    std::uint64_t sent = 0;
    std::uint64_t dropped = 0;
  };
  std::optional<Spans> spans = {};  // where they are exported
};

class Metrics final : public engine::Observer {
 public:
  // `version` is the program's.
  Metrics(db::Location location, std::string_view version);
  ~Metrics() override;

  // An HTTP request was answered. `route` is the pattern that was found ("/api/v1/sessions/{id}");
  // empty: none. The time is until the answer's first byte could be sent.
  // `waited` is the part of it until a worker took it.
  void answered(std::string_view route, std::string_view method, int status,
                std::chrono::nanoseconds time, std::chrono::nanoseconds waited);
  // An answer was written, so long after its first byte could be sent.
  void written(std::chrono::nanoseconds after);

  // The whole page. `reader` may be null, or its database fail: then what it would tell is left
  // out.
  [[nodiscard]] std::string render(db::Connection* reader, const Gauges& gauges) const;
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

  void session_begun(const engine::ObservedSession& session) override;
  void session_ended(const engine::ObservedSession& session,
                     const engine::ObservedEnd& end) override;
  void step_closed(const engine::ObservedSession& session,
                   const engine::ObservedStep& step) override;
  void call_ended(const engine::ObservedSession& session,
                  const engine::ObservedCall& call) override;
  void group_ended(std::size_t members) override;
  void commit_ended(std::chrono::nanoseconds time, bool durable) override;

 private:
  [[nodiscard]] std::string bounded_profile(const std::string& profile);

  struct Families;
  const db::Location location_;
  const std::string version_;
  const std::unique_ptr<Families> families_;
  std::mutex mutex_;
  std::set<std::string, std::less<>> profiles_;
};

}  // namespace tertulia::server
