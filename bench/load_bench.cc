#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "bench/many_sessions.h"
#include "bench/served.h"
#include "bench/server_bench.h"
#include "bench/spread.h"
#include "bench/stream_model.h"

namespace tertulia::bench {
namespace {

namespace fs = std::filesystem;

// One of the reads, by their shares of a hundred.
struct Read {
  std::string kind;
  std::string target;
};

Read any_read(std::mt19937& random, int stored) {
  const auto below = [&](int bound) { return static_cast<int>(random() % bound); };
  const int id = 1 + below(stored);
  const int share = below(100);
  if (share < 8) return {"list", "/api/v1/sessions"};
  if (share < 14) return {"list of a status", "/api/v1/sessions?status=paused"};
  if (share < 20)
    return {"list of a flow", fmt::format("/api/v1/sessions?flow=river&cursor={}", id)};
  if (share < 28) return {"list from a cursor", fmt::format("/api/v1/sessions?cursor={}", id)};
  if (share < 30)
    return {"list of a topic", fmt::format("/api/v1/sessions?topic=bridge&cursor={}", id)};
  if (share < 58) return {"get", fmt::format("/api/v1/sessions/{}", id)};
  if (share < 74) return {"messages", fmt::format("/api/v1/sessions/{}/messages?limit=20", id)};
  if (share < 90) return {"log", fmt::format("/api/v1/sessions/{}/log?limit=20", id)};
  if (share < 95) return {"search", "/api/v1/search?q=rehearsal&limit=20"};
  if (share < 97) return {"search in vain", fmt::format("/api/v1/search?q=giraffe{}", below(99))};
  if (share < 99) return {"usage", "/api/v1/usage"};
  return {"metrics", "/metrics"};
}

// How long each step took that was completed in that time: from the step before it.
Spread steps_between(const std::string& path, std::int64_t lowest, const std::string& from,
                     const std::string& to) {
  sqlite3* db = nullptr;
  sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READONLY, nullptr);
  sqlite3_stmt* rows = nullptr;
  sqlite3_prepare_v2(db,
                     "SELECT (julianday(l.completed_at) - julianday(l.started_at)) * 86400000 FROM "
                     "step_execution_logs l WHERE l.session_id >= ?1 AND l.context_snapshot IS NOT "
                     "NULL AND l.started_at >= ?2 AND l.completed_at < ?3",
                     -1, &rows, nullptr);
  sqlite3_bind_int64(rows, 1, lowest);
  sqlite3_bind_text(rows, 2, from.c_str(), -1, SQLITE_TRANSIENT);
  sqlite3_bind_text(rows, 3, to.c_str(), -1, SQLITE_TRANSIENT);
  Spread times;
  while (sqlite3_step(rows) == SQLITE_ROW) times.add(sqlite3_column_double(rows, 0));
  sqlite3_finalize(rows);
  sqlite3_close(db);
  return times;
}

std::string iso_now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(now.tv_sec), now.tv_nsec / 1000);
}

constexpr std::int64_t kSecond = 1'000'000'000;

}  // namespace

void measure_load(const ServerBenchOptions& options) {
  fmt::print("load: {} requests/s while {} sessions run\n", options.rate, options.sessions);
  const ManySessions made = make_many_sessions(options.folder, options.stored);
  StreamModel model({.first = std::chrono::milliseconds(200),
                     .between = std::chrono::milliseconds(20),
                     .words = 40});
  Served server(made.path, {"--model", model.profile()});
  Clients clients(server.port());
  const std::string flow = fmt::format("load-{}", StreamModel::now_ns());
  store_flow(clients, flow, 100'000);
  const auto ids = make_sessions(clients, flow, options.sessions);
  for (const auto id : ids) {
    clients.send("POST", fmt::format("/api/v1/sessions/{}/start", id), "{}", [](int, auto) {});
    clients.run(StreamModel::now_ns() + kSecond / options.sessions);
  }
  clients.run(StreamModel::now_ns() + kSecond);
  static_cast<void>(model.take_lateness_ms());
  const std::string quiet_from = iso_now();
  double cpu = server.cpu_seconds();
  clients.run(StreamModel::now_ns() + options.seconds * kSecond);
  const std::string quiet_to = iso_now();
  const double quiet_cpu = (server.cpu_seconds() - cpu) / options.seconds;
  const double quiet_lateness = model.take_lateness_ms();

  // Each request is due at its time, whatever became of those before it.
  std::map<std::string, Spread> by_kind;
  Spread all;
  std::map<int, int> statuses;
  std::mt19937 random(7);
  const int count = options.rate * options.seconds;
  int answered = 0;
  const std::string loaded_from = iso_now();
  cpu = server.cpu_seconds();
  const std::int64_t begin = StreamModel::now_ns();
  double sent_late = 0;
  for (int i = 0; i < count; ++i) {
    const std::int64_t due = begin + i * kSecond / options.rate;
    clients.run(due);
    sent_late = std::max(sent_late, static_cast<double>(StreamModel::now_ns() - due) / 1e6);
    const Read read = any_read(random, options.stored);
    clients.send("GET", read.target, {}, [&, due, kind = read.kind](int status, auto) {
      const double took = static_cast<double>(StreamModel::now_ns() - due) / 1e6;
      by_kind[kind].add(took);
      all.add(took);
      ++statuses[status];
      ++answered;
    });
  }
  clients.run(StreamModel::now_ns() + 120 * kSecond, [&] { return answered == count; });
  const std::string loaded_to = iso_now();
  const double took = static_cast<double>(StreamModel::now_ns() - begin) / 1e9;
  const double loaded_cpu = (server.cpu_seconds() - cpu) / took;
  fmt::print("  all reads: {} (wanted p99 under 10)\n", all.shown());
  for (auto& [kind, times] : by_kind) fmt::print("    {:20} {}\n", kind, times.shown());
  for (const auto& [status, number] : statuses) fmt::print("  status {}: {}\n", status, number);
  const double loaded_lateness = model.take_lateness_ms();
  const double peak = server.memory_mb("VmHWM");
  server.stop();
  Spread quiet = steps_between(made.path, ids.front(), quiet_from, quiet_to);
  Spread loaded = steps_between(made.path, ids.front(), loaded_from, loaded_to);
  fmt::print(
      "  steps without reads: {}\n  steps with reads:    {}\n  slowest with reads {:.3f} of the "
      "median without, p99 {:.3f} (wanted 1.2 at most)\n  server {:.2f} and {:.2f} of a core, "
      "{:.0f} "
      "MB resident at most; the model late by {:.1f} and {:.1f} ms at most, requests sent late by "
      "{:.1f} ms at most\n",
      quiet.shown(), loaded.shown(), loaded.most() / quiet.at(0.5), loaded.at(0.99) / quiet.at(0.5),
      quiet_cpu, loaded_cpu, peak, quiet_lateness, loaded_lateness, sent_late);
  end_left_sessions(made.path);
}

void measure_readers(const ServerBenchOptions& options) {
  fmt::print("readers: {} of one session, that come and go\n", options.readers);
  fs::create_directories(options.folder);
  const std::string path = options.folder + "/readers.db";
  for (const char* end : {"", "-wal", "-shm"}) fs::remove(path + end);
  run_program(path, {"db", "migrate"});
  StreamModel model({.first = std::chrono::milliseconds(20),
                     .between = std::chrono::milliseconds(10),
                     .words = 5});
  Served server(path, {"--model", model.profile()});
  Clients clients(server.port());
  store_flow(clients, "readers", 200);
  const auto id = make_sessions(clients, "readers", 1).front();
  struct Reader {
    std::int64_t last = 0;
    int until_break = 0;  // events
    bool has_all = false;
  };
  std::mt19937 random(7);
  std::vector<Reader> readers(static_cast<std::size_t>(options.readers));
  std::uint64_t durable = 0, tokens = 0, wrong = 0, breaks = 0;
  std::size_t over = 0;
  std::function<void(std::size_t)> follow = [&](std::size_t number) {
    Reader& reader = readers[number];
    reader.until_break = 20 + static_cast<int>(random() % 200);
    clients.follow(
        fmt::format("/api/v1/sessions/{}/events", id),
        reader.last == 0 ? std::string() : std::to_string(reader.last),
        [&, number](const ReadEvent& event) {
          if (event.id.empty()) {
            ++tokens;
            return true;
          }
          Reader& one = readers[number];
          ++durable;
          if (std::to_string(++one.last) != event.id) ++wrong;
          if (event.type == "session.finished") one.has_all = true;
          return one.has_all || --one.until_break > 0;
        },
        [&, number](int) {
          if (readers[number].has_all) {
            ++over;
            return;
          }
          ++breaks;
          follow(number);
        });
  };
  for (std::size_t i = 0; i < readers.size(); ++i) follow(i);
  clients.run(StreamModel::now_ns() + kSecond);
  const std::int64_t begin = StreamModel::now_ns();
  static_cast<void>(clients.ask("POST", fmt::format("/api/v1/sessions/{}/start", id), "{}"));
  const double cpu = server.cpu_seconds();
  clients.run(StreamModel::now_ns() + 300 * kSecond, [&] { return over == readers.size(); });
  const double took = static_cast<double>(StreamModel::now_ns() - begin) / 1e9;
  std::set<std::int64_t> lasts;
  for (const Reader& reader : readers) lasts.insert(reader.last);
  fmt::print(
      "  {} readers had all; {} different counts of events (wanted 1): {} each\n  {} durable "
      "events "
      "read, {} out of order, twice or missing; {} reconnections; {} tokens\n  {:.1f} s, server "
      "{:.2f} of a core, {:.0f} MB resident at most\n",
      over, lasts.size(), *lasts.rbegin(), durable, wrong, breaks, tokens, took,
      (server.cpu_seconds() - cpu) / took, server.memory_mb("VmHWM"));
  server.stop();
}

}  // namespace tertulia::bench
