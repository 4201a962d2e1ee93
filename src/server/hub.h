// Hub tells everybody who follows sessions what happens in them, whoever performs them: this
// process, another one on the same file, another node.
//
// Durable events come from the database alone (engine/event_record.h), by one thread with one
// connection, for all who follow: so a follower gets each once and in order, also across its own
// reconnections and the server's restarts. The engine's bus only says that there is something to
// read; what other processes do is found by looking five times a second. What is not stored comes
// from the bus: tokens, and only to who has everything before them; and that a full disk has paused
// a session.
//
// A follower that is full is left behind, at no cost to others, and goes on from the database when
// it has room again.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "db/connection.h"
#include "engine/event.h"
#include "model/rows.h"
#include "server/outlet.h"

namespace tertulia::server {

// One follower. Its functions are called on the hub's thread, one at a time.
class Follower {
 public:
  virtual ~Follower() = default;

  // Takes a durable event; `sse` is the same as Server-Sent Events have it, made once for all.
  virtual void take(const engine::Event& event, const Piece& sse) = 0;
  // Who follows one session has been given all events of a commit.
  virtual void end_commit() {}
  // Takes a piece of what a model says; may drop it.
  virtual void take_token(const engine::Event& token, const Piece& sse) = 0;
  // That a piece was dropped: it was full, or behind.
  virtual void miss_token(const engine::Event& /*token*/) {}
  // Takes what happened and could not be stored: a full disk has paused the session. The event has
  // no number; what is stored of it when there is room comes as a durable one.
  virtual void take_unstored(const engine::Event& event, const Piece& sse) = 0;
  // Has no room now. `Hub::look` is called when it has again.
  [[nodiscard]] virtual bool is_full() const = 0;
  // Wants nothing more: it is let go.
  [[nodiscard]] virtual bool is_done() const = 0;
  // Nothing more comes: the server stops, or the session was deleted.
  virtual void end() = 0;
};

// An event as Server-Sent Events have it. `id` is what Last-Event-ID takes; empty: none.
[[nodiscard]] Piece to_sse(const engine::Event& event, std::string_view id);

class Hub final {
 public:
  // Opens its own connection. Outlived by the bus.
  [[nodiscard]] static base::Result<std::unique_ptr<Hub>> start(const db::Location& location,
                                                                engine::EventBus& bus);
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  // From now on the follower gets the session's events above the number. Any thread.
  void follow(std::shared_ptr<Follower> follower, model::Id session, std::int64_t after);
  // Those of all sessions: after that row of session_events and that number within it, or from now
  // on (nothing).
  struct Place {
    model::Id row = 0;
    std::int64_t number = 0;
  };
  void follow_all(std::shared_ptr<Follower> follower, std::optional<Place> after);
  // A follower may have room, or be done, or a session was deleted.
  void look();
  void drop_session(model::Id session);

  // Ends all followers and the thread.
  void stop();

  [[nodiscard]] std::size_t followers() const { return count_; }
  // Tokens that full followers did not get.
  [[nodiscard]] std::uint64_t dropped_tokens() const { return dropped_; }

 private:
  struct Entry {
    std::shared_ptr<Follower> follower;
    model::Id session = 0;    // 0: all
    std::int64_t number = 0;  // of the last event it was given; of one session
    Place place;              // of all
    bool behind = true;       // is to be given from the database before what is new
  };
  Hub(std::unique_ptr<db::Connection> connection, db::Location location, engine::EventBus& bus);

  void work();
  void take_requests();
  // New rows of the database, to whom they are for.
  void read_new();
  void give_rows(const std::vector<model::SessionEvents>& rows);
  void give_behind();
  // True where the follower has all there is.
  [[nodiscard]] bool catch_up(Entry& entry);
  [[nodiscard]] bool catch_up_all(Entry& entry);
  void give_token(const engine::Event& token);
  void give_unstored(const engine::Event& event);
  void forget_done();
  void remember_gaps(const std::vector<model::SessionEvents>& rows);

  const db::Location location_;
  std::unique_ptr<db::Connection> connection_;
  std::shared_ptr<engine::Subscription> subscription_;

  std::mutex mutex_;
  std::vector<Entry> arrived_;
  std::set<model::Id> dropped_sessions_;
  bool ending_ = false;

  // The thread's own.
  std::multimap<model::Id, std::shared_ptr<Entry>> entries_;  // by session; 0: of all
  model::Id last_row_ = 0;
  bool is_lost_ = true;                         // where new rows begin is not known
  std::map<model::Id, base::SteadyTime> gaps_;  // ids that were skipped, until when they may come

  std::atomic<std::size_t> count_ = 0;
  std::atomic<std::uint64_t> dropped_ = 0;
  std::thread thread_;
};

// A follower that writes Server-Sent Events into an outlet. `own_ids`: of one session, whose
// numbers are the ids; else the frames are made anew with a place's id.
class SseFollower final : public Follower {
 public:
  // `ends_with_session`: closes after the session's last event.
  SseFollower(std::shared_ptr<Outlet> outlet, bool ends_with_session)
      : outlet_(std::move(outlet)), ends_with_session_(ends_with_session) {}

  void take(const engine::Event& event, const Piece& sse) override;
  void take_token(const engine::Event& token, const Piece& sse) override;
  void take_unstored(const engine::Event& event, const Piece& sse) override;
  [[nodiscard]] bool is_full() const override { return outlet_->is_full(); }
  [[nodiscard]] bool is_done() const override { return outlet_->is_closed(); }
  void end() override { outlet_->close(); }

 private:
  const std::shared_ptr<Outlet> outlet_;
  const bool ends_with_session_;
};

}  // namespace tertulia::server
