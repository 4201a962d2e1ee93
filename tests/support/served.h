// Served is a `tertulia serve` that runs, on a port that the system chose.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "support/http_client.h"
#include "support/program.h"

namespace tertulia::test {

class Served final {
 public:
  // Serves the world's database, with `--model rehearsal` unless `more` names one. Returns when it
  // takes requests. Throws std::runtime_error where it does not come to that.
  explicit Served(const World& world, const std::vector<std::string>& more = {});
  // Stops it, unless that was done.
  ~Served();
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

  // "http://127.0.0.1:PORT"
  [[nodiscard]] const std::string& url() const { return url_; }
  // "127.0.0.1:PORT"
  [[nodiscard]] std::string host() const { return url_.substr(url_.find("//") + 2); }

  [[nodiscard]] HttpClient client() const { return HttpClient(url_); }
  // One request on a connection of its own.
  HttpAnswer ask(std::string_view method, std::string_view target, std::string_view body = {},
                 const HttpFields& fields = {}) const;

  // Stops it as supervisors do (SIGTERM), and expects exit status 0 within ten seconds.
  Finished stop();
  // As the machine's end would (SIGKILL).
  Finished kill();

 private:
  std::optional<Running> program_;
  std::string url_;
};

// Reads a session until it has one of these statuses, and gives it. Follows its events meanwhile, so
// that nothing is asked again and again.
[[nodiscard]] base::json::object wait_for_status(const Served& served, const std::string& session,
                                                 const std::vector<std::string>& statuses,
                                                 const HttpFields& fields = {});

}  // namespace tertulia::test
