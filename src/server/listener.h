// Listener accepts connections on an address and speaks HTTP/1.1 with them (connection.h), plain or
// over TLS, on one I/O thread of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "server/door.h"

namespace tertulia::server {

// What a peer may take of the server, whoever it is.
struct ConnectionLimits {
  std::size_t connections = 4096;  // at once; more are told 503 and closed
  std::size_t header_bytes = 16 * 1024;
  // For a whole head, the wait for its first byte included.
  std::chrono::milliseconds head = std::chrono::seconds(20);
  // For a body, and a second more for each 64 KiB that it may have.
  std::chrono::milliseconds body = std::chrono::seconds(20);
  // For a reader to take what is written.
  std::chrono::milliseconds write = std::chrono::seconds(20);
  // What a peer still sends after its last answer is dropped for so long, so that it gets to read
  // it.
  std::chrono::milliseconds linger = std::chrono::seconds(2);
  // A comment on streams that are silent.
  std::chrono::milliseconds heartbeat = std::chrono::seconds(15);
};

struct ListenAddress {
  std::string host;  // an IP address
  std::uint16_t port = 0;
};
// "127.0.0.1:5010", "[::1]:5010", "localhost:5010". Invalid says what is wrong.
[[nodiscard]] base::Result<ListenAddress> parse_listen(std::string_view text);
[[nodiscard]] bool is_loopback(const ListenAddress& address);

struct ListenerOptions {
  ListenAddress address;
  ConnectionLimits limits;
  std::string certificate_file;  // PEM, with its chain; empty: no TLS
  std::string key_file;          // PEM
};

class Listener final {
 public:
  // Binds, and takes nobody yet. Unavailable where the address is taken or none of this machine's,
  // invalid where the certificate or key cannot be used.
  [[nodiscard]] static base::Result<std::unique_ptr<Listener>> bind(ListenerOptions options);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // The port in fact, where 0 was asked for.
  [[nodiscard]] std::uint16_t port() const;

  // Begins to accept. The door outlives the listener.
  void run(Door& door);
  // Accepts no more, and closes what is idle.
  void close();
  // The same, and lets what is being answered finish, for so long.
  void stop(std::chrono::milliseconds grace);

  [[nodiscard]] std::size_t open_connections() const;

 private:
  struct Impl;
  explicit Listener(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tertulia::server
