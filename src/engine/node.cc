#include "engine/node.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"
#include "base/sha256.h"

namespace tertulia::engine {
namespace {

// The key of a node's advisory lock: 63 bits of its name's digest.
std::int64_t lock_key(const std::string& name) {
  return static_cast<std::int64_t>(
      std::stoull(base::sha256_hex("tertulia node " + name).substr(0, 16), nullptr, 16) >> 1);
}

constexpr std::string_view kTryLock = "SELECT pg_try_advisory_lock($1)";
constexpr std::string_view kUnlock = "SELECT pg_advisory_unlock($1)";

base::Result<bool> ask(db::Connection& connection, std::string_view text, std::int64_t key) {
  bool answer = false;
  auto done = connection.each_text(text, std::vector<db::Param>{key},
                                   [&](const db::Row& row) -> base::Result<void> {
                                     answer = row.boolean(0);
                                     return {};
                                   });
  if (!done) return done.error();
  return answer;
}

}  // namespace

base::Result<Node> Node::join(const db::Location& location, db::Connection& writer) {
  Node node(location, fmt::format("{}-{:013x}", ::getpid(), base::fresh_seed()));
  if (location.engine == db::Engine::postgres) {
    if (auto proved = node.prove_life(writer); !proved) return proved.error();
    return node;
  }
  auto lock = db::FileLock::open(node.file_of(node.name_));
  if (!lock) return lock.error();
  auto locked = lock->try_lock();
  if (!locked) return locked.error();
  if (!*locked)
    return base::Error{.code = base::Code::internal,
                       .message = fmt::format("{} is locked already", lock->path())};
  node.lock_ = *std::move(lock);
  return node;
}

Node::Node(Node&& other) noexcept
    : location_(std::move(other.location_)),
      name_(std::move(other.name_)),
      lock_(std::exchange(other.lock_, std::nullopt)) {}

Node::~Node() {
  if (lock_) ::unlink(lock_->path().c_str());
}

base::Result<void> Node::prove_life(db::Connection& writer) const {
  if (location_.engine == db::Engine::sqlite) return {};
  auto locked = ask(writer, kTryLock, lock_key(name_));
  if (!locked) return locked.error();
  return {};
}

bool Node::is_dead(const std::string& name, db::Connection& writer) const {
  if (name.empty() || name == name_) return false;
  if (location_.engine == db::Engine::postgres) {
    // Whoever gets the lock has found its holder gone.
    const std::int64_t key = lock_key(name);
    auto locked = ask(writer, kTryLock, key);
    if (!locked || !*locked) return false;
    if (auto unlocked = ask(writer, kUnlock, key); !unlocked)
      spdlog::warn("advisory unlock: {}", unlocked.error().message);
    return true;
  }
  const std::string path = file_of(name);
  // A node removes its file only at a clean end, after giving up its leases: a lease whose node has
  // no file is of a dead node.
  if (::access(path.c_str(), F_OK) != 0) return true;
  auto lock = db::FileLock::open(path);
  if (!lock) return false;
  auto locked = lock->try_lock();
  if (!locked || !*locked) return false;
  ::unlink(path.c_str());
  return true;
}

std::string Node::file_of(const std::string& name) const {
  return location_.target + ".node-" + name;
}

}  // namespace tertulia::engine
