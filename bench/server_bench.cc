// The benchmarks of `tertulia serve`: the real program as a process, over real sockets, with a
// model server that streams.
//   relay    from the model's byte to the reader's event, with 200 sessions streaming
//   rest     start to ready on a large database, and memory at rest
//   load     200 requests a second of mixed reads over 100,000 sessions while 200 sessions run
//   readers  1,000 readers of one session, that come and go
#include "bench/server_bench.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdlib>

#include "bench/many_sessions.h"
#include "bench/served.h"
#include "bench/spread.h"

namespace tertulia::bench {

void store_flow(Clients& clients, const std::string& name, int steps) {
  std::string text = fmt::format(
      "tertulia: 1\nname: {}\ntopic: Should we measure it?\n"
      "roles:\n  a: {{ name: Ann, prompt: You are for it. }}\n  b: {{ name: Bob, prompt: You are "
      "against it. }}\nlimits: {{ steps: 1m, rounds: 1m }}\nsteps:\n  - loop:\n      max: {}\n"
      "      steps:\n",
      name, std::max(1, steps / 2));
  for (const char* role : {"a", "b"})
    text += fmt::format(
        "        - {{ speak: {}, task: Say the next thing., context: {{ last: 6 }} }}\n", role);
  static_cast<void>(clients.ask("POST", "/api/v1/flows", text, "application/yaml"));
}

std::vector<std::int64_t> make_sessions(Clients& clients, const std::string& flow, int count) {
  std::vector<std::int64_t> ids;
  for (int i = 0; i < count; ++i)
    ids.push_back(
        integer_in(clients.ask("POST", "/api/v1/sessions",
                               fmt::format(R"({{"flow": "{}", "autostart": false}})", flow)),
                   "id"));
  return ids;
}

std::int64_t integer_in(std::string_view text, std::string_view member) {
  const std::string wanted = fmt::format("\"{}\":", member);
  const auto at = text.find(wanted);
  if (at == std::string_view::npos) give_up(fmt::format("no {} in {}", member, text));
  return std::strtoll(text.data() + at + wanted.size(), nullptr, 10);
}

double metric_in(std::string_view text, std::string_view name) {
  double sum = 0;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.starts_with(name)) continue;
    const char after = line.size() > name.size() ? line[name.size()] : ' ';
    if (after == ' ' || after == '{') sum += std::atof(line.data() + line.rfind(' '));
  }
  return sum;
}

void measure_rest(const ServerBenchOptions& options) {
  fmt::print("rest\n");
  const ManySessions made = make_many_sessions(options.folder, options.stored);
  Spread starts;
  double rss = 0;
  double used = 0;
  for (int i = 0; i < 7; ++i) {
    Served server(made.path, {"--model", "rehearsal"});
    Clients clients(server.port());
    static_cast<void>(clients.ask("GET", "/readyz"));
    starts.add(server.start_ms());
    rss = server.memory_mb("VmRSS");
    for (int page = 0; page < 200 && i == 6; ++page)
      static_cast<void>(clients.ask("GET", fmt::format("/api/v1/sessions/{}", page + 1)));
    used = server.memory_mb("VmRSS");
    server.stop();
  }
  fmt::print(
      "  start to ready {} (wanted under 100)\n  {:.1f} MB resident when ready (wanted under 25), "
      "{:.1f} MB after 200 requests\n",
      starts.shown(), rss, used);
}

}  // namespace tertulia::bench

int main(int argc, char** argv) {
  using namespace tertulia::bench;
  ServerBenchOptions options;
  std::string only;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const char* const value = i + 1 < argc ? argv[++i] : nullptr;
    const auto number = [&](const char* name, int& into) {
      if (value != nullptr && word == name) into = std::atoi(value);
      return value != nullptr && word == name;
    };
    if (value != nullptr && word == "--only") {
      only = value;
    } else if (value != nullptr && word == "--dir") {
      options.folder = value;
    } else if (!number("--sessions", options.sessions) && !number("--stored", options.stored) &&
               !number("--readers", options.readers) && !number("--seconds", options.seconds) &&
               !number("--rate", options.rate)) {
      fmt::print(stderr,
                 "usage: tertulia_server_bench [--only relay|rest|load|readers] [--dir FOLDER] "
                 "[--sessions N] [--stored N] [--readers N] [--seconds N] [--rate N]\n");
      return 2;
    }
  }
  // Each reader is a file descriptor, here and in the server, which inherits the limit.
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::setvbuf(stdout, nullptr, _IOLBF, 0);
  const auto wanted = [&](std::string_view name) { return only.empty() || only == name; };
  if (wanted("relay")) measure_relay(options);
  if (wanted("rest")) measure_rest(options);
  if (wanted("load")) measure_load(options);
  if (wanted("readers")) measure_readers(options);
  return 0;
}
