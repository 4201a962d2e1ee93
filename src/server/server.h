// Server puts the rooms of `tertulia serve` together: the engine, the stage, the hub, the workers,
// the front and the listener, and takes them down again in the right order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "engine/casting.h"
#include "engine/engine.h"
#include "server/listener.h"
#include "server/tracing.h"

namespace tertulia::server {

struct ServerOptions {
  db::Location location;  // proved fit
  engine::ProviderSource providers;
  engine::ProfileSource profiles;  // any thread
  std::vector<std::string> profile_names;
  std::string default_profile;  // empty: requests must name one
  std::string version;

  ListenAddress listen{"127.0.0.1", 5010};
  std::vector<std::string> hosts = {};  // beside those of the address: "tertulia.example:443"
  std::vector<std::string> cors_origins = {};  // none: CORS is off
  bool require_token = false;                  // also on loopback
  std::string environment_token = {};          // good beside the database's; empty: none
  std::string certificate_file = {};
  std::string key_file = {};
  std::int64_t requests_a_minute = 60'000;
  int workers = 4;
  TracingOptions tracing = {};  // of an empty URL: none
  ConnectionLimits limits = {};
};

class Server final {
 public:
  // Denied where the address is not loopback and there is no token. Otherwise errors are those of
  // opening the database and of binding.
  [[nodiscard]] static base::Result<std::unique_ptr<Server>> start(ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // "http://127.0.0.1:5010"
  [[nodiscard]] std::string url() const;

  // Ends gracefully: nothing new is taken, steps under way finish (after some seconds they are
  // stopped, and asked again by the next server), answers are sent, streams end. Sessions that were
  // under way are paused with the reason `shutdown`, with which the next start goes on.
  // Takes at most about nine seconds.
  void stop();

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace tertulia::server
