#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "bench/served.h"
#include "bench/server_bench.h"
#include "bench/spread.h"
#include "bench/stream_model.h"

namespace tertulia::bench {
namespace {

namespace fs = std::filesystem;

// Every stamp in a token's text.
template <class Take>
void each_stamp(std::string_view data, Take take) {
  for (auto at = data.find('~'); at != std::string_view::npos; at = data.find('~', at)) {
    const auto end = data.find('~', at + 1);
    if (end == std::string_view::npos) return;
    take(std::strtoll(data.data() + at + 1, nullptr, 10));
    at = end + 1;
  }
}

}  // namespace

void measure_relay(const ServerBenchOptions& options) {
  fmt::print("relay: {} sessions streaming, a reader each\n", options.sessions);
  fs::create_directories(options.folder);
  const std::string path = options.folder + "/relay.db";
  for (const char* end : {"", "-wal", "-shm"}) fs::remove(path + end);
  run_program(path, {"db", "migrate"});
  StreamModel model({.words = 100});
  Served server(path, {"--model", model.profile()});
  Clients clients(server.port());
  // One answer takes some four seconds.
  store_flow(clients, "relay", std::max(2, options.seconds / 4));
  const auto ids = make_sessions(clients, "relay", options.sessions);
  Spread times;
  std::uint64_t durable = 0, wrong = 0;
  int over = 0;
  for (const auto id : ids) {
    auto next = std::make_shared<std::int64_t>(1);
    clients.follow(
        fmt::format("/api/v1/sessions/{}/events", id), {},
        [&, next](const ReadEvent& event) {
          if (event.type == "token") {
            each_stamp(event.data, [&](std::int64_t stamp) {
              times.add(static_cast<double>(event.read_ns - stamp) / 1e6);
            });
            return true;
          }
          ++durable;
          if (std::to_string((*next)++) != event.id) ++wrong;
          return true;
        },
        [&](int) { ++over; });
  }
  clients.run(StreamModel::now_ns() + 500'000'000);
  for (const auto id : ids) {
    clients.send("POST", fmt::format("/api/v1/sessions/{}/start", id), "{}", [](int status, auto) {
      if (status != 202 && status != 200) give_up(fmt::format("start: {}", status));
    });
    clients.run(StreamModel::now_ns() + 5'000'000);
  }
  static_cast<void>(model.take_lateness());
  const double before = server.cpu_seconds();
  const auto begun = StreamModel::now_ns();
  clients.run(begun + 600'000'000'000, [&] { return over == options.sessions; });
  const double took = static_cast<double>(StreamModel::now_ns() - begun) / 1e9;
  const double cpu = (server.cpu_seconds() - before) / took;
  const std::string metrics = clients.ask("GET", "/metrics");
  fmt::print(
      "  {} (wanted p99 under 5)\n  words written {}, read {}, dropped {:.0f}; {} durable events, "
      "{} out of order; {} streams ended\n  {:.0f} words/s, server {:.2f} of a core; the model "
      "late by {}\n",
      times.shown(), model.words(), times.count(),
      metric_in(metrics, "tertulia_event_tokens_dropped_total"), durable, wrong, over,
      static_cast<double>(times.count()) / took, cpu, model.take_lateness().shown());
  server.stop();
}

}  // namespace tertulia::bench
