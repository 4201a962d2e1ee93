// A batch of the real program under what a long run meets: a model server that takes its time and
// fails now and then, and two kills. Prints rate and peak memory, and counts the results.
//   tertulia_batch_bench [--dir FOLDER] [--sessions N] [--concurrency N] [--latency MS]
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/model_server.h"

extern char** environ;

namespace tertulia::bench {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

struct Options {
  std::string folder = "build/bench-data/batch";
  int sessions = 20'000;
  int concurrency = 400;
  int latency_ms = 200;
};

constexpr const char* kFlow = R"(tertulia: 1
name: batch-bench
roles: { a: { name: Ann, prompt: You ask. }, b: { name: Bob, prompt: You answer. } }
steps:
  - { speak: a, task: "Ask about {{topic}}.", retry: { attempts: 5, backoff: 200ms } }
  - { speak: b, to: a, retry: { attempts: 5, backoff: 200ms } }
)";

std::atomic<int> requests = 0, faults = 0;

void answer(const Options& options, test::Reply& reply) {
  const int number = ++requests;
  std::this_thread::sleep_for(std::chrono::milliseconds(options.latency_ms));
  if (number % 50 == 0) {
    ++faults;
    if (number % 150 == 0) return reply.reset();
    if (number % 100 != 0) return reply.answer(500, R"({"error": {"message": "no luck"}})");
    reply.begin();
    reply.chunk(test::sse_word("Half a"));
    return reply.reset();
  }
  reply.begin();
  reply.chunk(test::sse_completion({"A sentence of ", "some twenty words, as a model ",
                                    "would say it in a talk that goes ", "on and on."},
                                   "stop", test::CompletionUsage{120, 40}));
  reply.end();
}

// Runs the program; kills it once so many requests have come (0: never). Its status, or -SIGNAL.
int run(const std::vector<std::string>& words, int kill_at, double& peak_mb, double& seconds) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const auto begun = steady_clock::now();
  pid_t child = 0;
  if (::posix_spawn(&child, argv[0], nullptr, nullptr, argv.data(), environ) != 0) return 127;
  std::atomic<bool> is_over = false;
  std::thread killer([&] {
    while (kill_at > 0 && !is_over && requests < kill_at)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (kill_at > 0 && !is_over) ::kill(child, SIGKILL);
  });
  int status = 0;
  rusage used{};
  ::wait4(child, &status, 0, &used);
  is_over = true;
  killer.join();
  seconds = std::chrono::duration<double>(steady_clock::now() - begun).count();
  peak_mb = static_cast<double>(used.ru_maxrss) / 1024;
  fmt::print("  {:6.1f} s, peak {:.1f} MB resident, {}\n", seconds, peak_mb,
             WIFSIGNALED(status) ? "killed" : fmt::format("exit {}", WEXITSTATUS(status)));
  std::fflush(stdout);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int measure(const Options& options) {
  fs::remove_all(options.folder);
  fs::create_directories(options.folder);
  const std::string at = options.folder + "/";
  std::ofstream(at + "flow.yaml") << kFlow;
  {
    std::ofstream inputs(at + "in.jsonl");
    for (int i = 1; i <= options.sessions; ++i)
      inputs << "{\"id\": \"in-" << i << "\", \"topic\": \"Topic " << i << "\"}\n";
  }
  test::ModelServer server(
      [&](const test::ReceivedRequest&, test::Reply& reply) { answer(options, reply); });
  const std::vector<std::string> words{TERTULIA_PROGRAM,
                                       "batch",
                                       at + "flow.yaml",
                                       "--inputs",
                                       at + "in.jsonl",
                                       "--out",
                                       at + "out.jsonl",
                                       "--db",
                                       at + "t.db",
                                       "--model",
                                       "openai/any@" + server.base_url(),
                                       "--concurrency",
                                       std::to_string(options.concurrency)};
  fmt::print("{} sessions of 2 calls, {} at once, {} ms a call, 2 % faults, two kills\n",
             options.sessions, options.concurrency, options.latency_ms);
  double seconds = 0, sum = 0, peak = 0, most = 0;
  for (const int at_request : {options.sessions / 2, options.sessions * 5 / 4, 0}) {
    const int status = run(words, at_request, peak, seconds);
    sum += seconds;
    most = std::max(most, peak);
    if (status != (at_request == 0 ? 0 : -SIGKILL)) return 1;
  }
  std::set<std::string> ids;
  int lines = 0;
  std::ifstream out(at + "out.jsonl");
  for (std::string line; std::getline(out, line); ++lines)
    ids.insert(line.substr(0, line.find(',')));
  const int needed = 2 * options.sessions + faults;
  fmt::print("lines {}, different ids {}; {} requests ({} faults): {} more than were needed\n",
             lines, ids.size(), requests.load(), faults.load(), requests - needed);
  fmt::print("{:.0f} sessions/s over {:.1f} s (ideal {:.0f}), peak {:.1f} MB\n",
             options.sessions / sum, sum,
             options.concurrency * 1000.0 / (2 * std::max(1, options.latency_ms)), most);
  const bool whole = lines == options.sessions && ids.size() == static_cast<std::size_t>(lines);
  fs::remove_all(options.folder);
  return whole ? 0 : 1;
}

}  // namespace
}  // namespace tertulia::bench

int main(int argc, char** argv) {
  tertulia::bench::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const char* const value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (value == nullptr) {
      fmt::print(stderr,
                 "usage: tertulia_batch_bench [--dir FOLDER] [--sessions N] [--concurrency N] "
                 "[--latency MS]\n");
      return 2;
    }
    ++i;
    if (word == "--dir") options.folder = std::string(value) + "/batch";
    if (word == "--sessions") options.sessions = std::atoi(value);
    if (word == "--concurrency") options.concurrency = std::atoi(value);
    if (word == "--latency") options.latency_ms = std::atoi(value);
  }
  return tertulia::bench::measure(options);
}
