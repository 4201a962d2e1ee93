// Serving is `tertulia serve` as a process of its own, on a free port, and a client of its API.
// Every answer that the client gets is held against the OpenAPI document that the program serves:
// one that does not fit fails the test.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/openapi_check.h"
#include "support/program.h"

namespace tertulia::test {

struct Answer {
  int status = 0;                             // 0: no answer came
  std::map<std::string, std::string> fields;  // by lower-case name
  std::string body;
};

class Serving final {
 public:
  // Starts it in the world, with these arguments after `serve`; returns when it serves. Its port is
  // a free one, unless it is to be that of a server before.
  explicit Serving(const World& world,
                   const std::vector<std::string>& arguments = {"--model", "rehearsal"},
                   std::uint16_t port = 0);
  ~Serving();
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;

  [[nodiscard]] const std::string& url() const { return url_; }
  [[nodiscard]] std::uint16_t port() const;

  using Fields = std::vector<std::string>;  // "Name: value"
  // A body is sent as application/json, unless a field says otherwise.
  Answer send(const std::string& method, const std::string& target, const std::string& body = {},
              const Fields& fields = {});
  Answer get(const std::string& target, const Fields& fields = {}) {
    return send("GET", target, {}, fields);
  }
  Answer post(const std::string& target, const std::string& body = {}, const Fields& fields = {}) {
    return send("POST", target, body, fields);
  }
  // Reads a stream of events until one of the type has come, or it ends; all that came.
  std::string events(const std::string& target, const std::string& until_type,
                     const Fields& fields = {});

  void signal(int number) { running_->signal(number); }
  // SIGTERM, and its end.
  Finished stop();
  // What it logged comes with it.
  Finished finish();

 private:
  std::unique_ptr<Running> running_;
  std::string url_;
  std::unique_ptr<OpenApiCheck> check_;
};

}  // namespace tertulia::test
