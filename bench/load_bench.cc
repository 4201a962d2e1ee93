#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "bench/histogram.h"
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

// Reads the file once, so that the machine's memory holds it as after a while of use: where it does
// not, what is measured is the disk.
void read_into_memory(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<char> bytes(1 << 20);
  std::size_t size = 0;
  while (file.read(bytes.data(), static_cast<std::streamsize>(bytes.size())) || file.gcount() > 0)
    size += static_cast<std::size_t>(file.gcount());
  fmt::print("  the database's {} MB were read once before\n", size >> 20);
}

constexpr std::int64_t kSecond = 1'000'000'000;

// Sessions run and, where a rate is given, are read beside: what was seen meanwhile.
struct Seen {
  std::string from, to;  // when
  double cpu = 0;        // of a core: the server's, the benchmark's, and of all others
  double own_cpu = 0;
  double others_cpu = 0;
  Spread model_lateness;
  Spread sent_late;            // requests, after their time: the benchmark's share of what it sees
  Spread from_due, from_sent;  // to the whole answer
  std::map<std::string, Spread> by_kind;  // from_due
  std::map<int, int> statuses;
  std::string metrics_before, metrics_after;

  [[nodiscard]] Histogram told(const std::string& name) const {
    return Histogram(metrics_after, name).since(Histogram(metrics_before, name));
  }
};

class Scene final {
 public:
  Scene(const ServerBenchOptions& options, Served& server, StreamModel& model, Clients& clients)
      : options_(options), server_(server), model_(model), clients_(clients) {}

  Seen watch(int rate) {
    Seen seen;
    seen.metrics_before = clients_.ask("GET", "/metrics");
    static_cast<void>(model_.take_lateness());
    seen.from = iso_now();
    const double cpu = server_.cpu_seconds(), own = own_cpu_seconds(), all = machine_cpu_seconds();
    const std::int64_t begin = StreamModel::now_ns();
    if (rate == 0) {
      clients_.run(begin + options_.seconds * kSecond);
    } else {
      read(rate, begin, seen);
    }
    const double took = static_cast<double>(StreamModel::now_ns() - begin) / 1e9;
    seen.cpu = (server_.cpu_seconds() - cpu) / took;
    seen.own_cpu = (own_cpu_seconds() - own) / took;
    seen.others_cpu = (machine_cpu_seconds() - all) / took - seen.cpu - seen.own_cpu;
    seen.to = iso_now();
    seen.model_lateness = model_.take_lateness();
    seen.metrics_after = clients_.ask("GET", "/metrics");
    return seen;
  }

 private:
  // Each request is due at its time, whatever became of those before it.
  void read(int rate, std::int64_t begin, Seen& seen) {
    std::mt19937 random(7);
    const int count = rate * options_.seconds;
    int answered = 0;
    for (int i = 0; i < count; ++i) {
      const std::int64_t due = begin + i * kSecond / rate;
      clients_.run(due);
      const std::int64_t sent = StreamModel::now_ns();
      seen.sent_late.add(static_cast<double>(sent - due) / 1e6);
      const Read read = any_read(random, options_.stored);
      clients_.send("GET", read.target, {},
                    [&seen, &answered, due, sent, kind = read.kind](int status, auto) {
                      const std::int64_t now = StreamModel::now_ns();
                      const double took = static_cast<double>(now - due) / 1e6;
                      seen.by_kind[kind].add(took);
                      seen.from_due.add(took);
                      seen.from_sent.add(static_cast<double>(now - sent) / 1e6);
                      ++seen.statuses[status];
                      ++answered;
                    });
    }
    clients_.run(StreamModel::now_ns() + 120 * kSecond, [&] { return answered == count; });
  }

  const ServerBenchOptions& options_;
  Served& server_;
  StreamModel& model_;
  Clients& clients_;
};

void show_reads(Seen& seen) {
  fmt::print("  all reads: {} (wanted p99 under 10)\n", seen.from_due.shown());
  for (auto& [kind, times] : seen.by_kind) fmt::print("    {:20} {}\n", kind, times.shown());
  for (const auto& [status, number] : seen.statuses)
    fmt::print("  status {}: {}\n", status, number);
  fmt::print(
      "  of that the benchmark's: sent late by {}\n"
      "  from sent to answered: {}\n"
      "  the server's own, head to answer: {}\n"
      "    of it the wait for a worker:    {}\n"
      "    and the writing after it:       {}\n",
      seen.sent_late.shown(), seen.from_sent.shown(),
      seen.told("tertulia_http_request_duration_seconds").shown(),
      seen.told("tertulia_http_request_wait_seconds").shown(),
      seen.told("tertulia_http_response_write_seconds").shown());
}

void show_steps(const char* name, Seen& seen, Spread& steps) {
  fmt::print(
      "  steps {}: {}\n    commits until durable: {}\n    the model late by {}\n    of a core: "
      "the server {:.2f}, the benchmark {:.2f}, all else on the machine {:.2f}\n",
      name, steps.shown(), seen.told("tertulia_commit_duration_seconds").shown(),
      seen.model_lateness.shown(), seen.cpu, seen.own_cpu, seen.others_cpu);
}

}  // namespace

void measure_load(const ServerBenchOptions& options) {
  fmt::print("load: {} requests/s while {} sessions run\n", options.rate, options.sessions);
  const ManySessions made = make_many_sessions(options.folder, options.stored);
  read_into_memory(made.path);
  StreamModel model({.first = std::chrono::milliseconds(200),
                     .between = std::chrono::milliseconds(20),
                     .words = 40});
  Served server(made.path, {"--model", model.profile()});
  go_first();
  Clients clients(server.port());
  const std::string flow = fmt::format("load-{}", StreamModel::now_ns());
  store_flow(clients, flow, 100'000);
  const auto ids = make_sessions(clients, flow, options.sessions);
  for (const auto id : ids) {
    clients.send("POST", fmt::format("/api/v1/sessions/{}/start", id), "{}", [](int, auto) {});
    clients.run(StreamModel::now_ns() + kSecond / options.sessions);
  }
  clients.run(StreamModel::now_ns() + kSecond);
  Scene scene(options, server, model, clients);
  Seen quiet = scene.watch(0);
  Seen loaded = scene.watch(options.rate);
  const double peak = server.memory_mb("VmHWM");
  server.stop();
  show_reads(loaded);
  Spread quiet_steps = steps_between(made.path, ids.front(), quiet.from, quiet.to);
  Spread loaded_steps = steps_between(made.path, ids.front(), loaded.from, loaded.to);
  show_steps("without reads", quiet, quiet_steps);
  show_steps("with reads", loaded, loaded_steps);
  fmt::print(
      "  slowest with reads {:.3f} of the slowest without, {:.3f} of the median without (wanted "
      "1.2 "
      "at most); p99 {:.3f} of that median\n  {:.0f} MB resident at most\n",
      loaded_steps.most() / quiet_steps.most(), loaded_steps.most() / quiet_steps.at(0.5),
      loaded_steps.at(0.99) / quiet_steps.at(0.5), peak);
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
