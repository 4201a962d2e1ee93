// Writer is the one thread, with the one connection, that writes the database of this process.
// Commits that wait are put into one transaction (group commit): one session alone pays one fsync a
// step, a thousand share it. Where the group fails, each member is tried again alone, so that one
// cannot take others down.
//
// A commit that the database reports as failed may have taken place all the same (the answer was
// lost, not the commit). Before a commit is tried again it is looked up: the state it would store
// is compared with the one stored. So no commit is applied twice.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "engine/observer.h"
#include "store/commit.h"

namespace tertulia::engine {

class Writer final {
 public:
  using Done = std::function<void(base::Result<void>)>;
  using Job = std::function<void(db::Connection&)>;
  using Work = std::function<base::Result<void>(db::Connection&)>;
  using Opener = std::function<base::Result<std::unique_ptr<db::Connection>>()>;

  // Takes the write connection; `reopen` makes another where it is lost (PostgreSQL).
  Writer(std::unique_ptr<db::Connection> connection, Opener reopen, Observer* observer = nullptr);
  // Performs what waits, closes the connection and joins.
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // `done` is called on the writer's thread once the commit is durable, or has failed and left
  // nothing. Safe from any thread.
  void submit(store::Commit commit, Done done);
  // The same for other work on the database, inside the group's transaction. It may be performed a
  // second time if the group fails, so it must be one that can be repeated.
  void submit(Work work, Done done);
  // Runs a job with the connection, outside any transaction; returns when it is done. Not from the
  // engine's loop nor from the writer's thread.
  void run(const Job& job);

  // What was done so far.
  struct Counts {
    std::uint64_t commits = 0;       // members
    std::uint64_t transactions = 0;  // groups: each is one fsync
    std::uint64_t retried_alone = 0;
  };
  [[nodiscard]] Counts counts() const;
  // What waits to be taken into a transaction.
  [[nodiscard]] std::size_t waiting() const;

 private:
  struct Member {
    std::variant<store::Commit, Work> what;
    Done done;
    std::chrono::steady_clock::time_point submitted = {};  // read only where somebody observes
  };
  using Waiting = std::variant<Member, Job>;
  void enqueue(Waiting waiting);
  [[nodiscard]] Member make_member(std::variant<store::Commit, Work> what, Done done) const;

  void work();
  void perform_group(std::span<Member> members);
  [[nodiscard]] base::Result<void> perform_whole(std::span<Member> members);
  [[nodiscard]] base::Result<void> perform_alone(const Member& member);
  [[nodiscard]] base::Result<bool> is_applied(const store::Commit& commit);
  void end_member(Member& member, base::Result<void> result);
  void restore_connection();

  std::unique_ptr<db::Connection> connection_;
  Opener reopen_;
  Observer* const observer_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Waiting> waiting_;
  Counts counts_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace tertulia::engine
