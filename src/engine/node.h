// Node is this process as the holder of leases: a name, and a proof of life that ends with the
// process, however it ends, so that its sessions can be gone on with at once instead of waiting for
// their leases to run out.
//   SQLite: a flock on FILE.node-NAME, which the kernel releases. Never a test of a pid.
//   PostgreSQL: an advisory lock held by the write connection's session, which the server releases.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "db/connection.h"
#include "db/file_lock.h"

namespace tertulia::engine {

class Node final {
 public:
  // Makes a node with a fresh name. On SQLite its file is removed when the Node is destroyed.
  [[nodiscard]] static base::Result<Node> join(const db::Location& location,
                                               db::Connection& writer);
  Node(Node&& other) noexcept;
  Node& operator=(Node&&) = delete;
  ~Node();

  [[nodiscard]] const std::string& name() const { return name_; }
  // Is the node of that name surely dead? False where it lives, or where nothing is known of it.
  // Removes a dead node's file.
  [[nodiscard]] bool is_dead(const std::string& name, db::Connection& writer) const;
  // Takes the proof of life anew on another connection (PostgreSQL, after a loss).
  [[nodiscard]] base::Result<void> prove_life(db::Connection& writer) const;

 private:
  Node(db::Location location, std::string name)
      : location_(std::move(location)), name_(std::move(name)) {}
  [[nodiscard]] std::string file_of(const std::string& name) const;

  db::Location location_;
  std::string name_;
  std::optional<db::FileLock> lock_;
};

}  // namespace tertulia::engine
