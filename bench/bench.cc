// The benchmarks of quality: the engine beside the bare limit, in one run, as ratios.
//   W1  one session, 300 steps, rehearsal, durable     against bare sqlite3, a transaction a step
//   W2  100 sessions x 30 steps at once                against bare sqlite3 on 100 sessions by
//   turns,
//                                                      64 steps a transaction
//   W3  one session of 20,000 steps                    last hundred steps against the first hundred
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <new>

#include "bare_sqlite.h"
#include "engine/casting.h"
#include "engine/engine.h"
#include "flow/check.h"
#include "schema/proof.h"
#include "schema/runner.h"
#include "store/flows.h"
#include "store/step_log.h"
#include "support/postgres_server.h"

namespace {
std::atomic<std::uint64_t> allocations = 0;
}
void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace tertulia::bench {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

[[noreturn]] void fail(const base::Error& error) {
  fmt::print(stderr, "bench: {} {}\n", error.message, error.detail);
  std::exit(1);
}
template <class T>
T must(base::Result<T> result) {
  if (!result) fail(result.error());
  return *std::move(result);
}
void must(base::Result<void> result) {
  if (!result) fail(result.error());
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double seconds_since(steady_clock::time_point begin) {
  return std::chrono::duration<double>(steady_clock::now() - begin).count();
}

// A talk of three roles, ten steps a pass.
std::string flow_of(int steps) {
  std::string text =
      "tertulia: 1\nname: bench\ntitle: Bench\ntopic: Should we measure it?\n"
      "roles:\n  a: { name: Ann, prompt: You are for it. }\n  b: { name: Bob, prompt: You are "
      "against it. }\n  c: { name: Cyd, prompt: You weigh it. }\n"
      "limits: { steps: 1m, rounds: 1m }\nsteps:\n";
  text += fmt::format("  - loop:\n      max: {}\n      steps:\n", std::max(1, steps / 10));
  for (int i = 0; i < 10; ++i)
    text += fmt::format(
        "        - {{ speak: {}, task: Say the next thing about the topic., context: {{ last: 6 }} "
        "}}\n",
        "abc"[i % 3]);
  return text;
}

class Place final {
 public:
  explicit Place(fs::path folder) : folder_(std::move(folder)) { fs::create_directories(folder_); }
  ~Place() { fs::remove_all(folder_); }
  std::string fresh() {
    const std::string path = (folder_ / fmt::format("{}.db", ++number_)).string();
    auto connection =
        must(db::open({db::Engine::sqlite, path}, {.access = db::Access::write, .create = true}));
    const auto migrations = schema::migrations(db::Engine::sqlite);
    static_cast<void>(
        must(schema::migrate(*connection, static_cast<int>(migrations.size()), migrations)));
    return path;
  }

 private:
  fs::path folder_;
  int number_ = 0;
};

struct EngineRun {
  double seconds = 0;
  engine::Writer::Counts counts;
  double allocations_per_step = 0;
};

// Performs `sessions` sessions of `steps` steps each at once.
EngineRun run_engine(const std::string& path, int sessions, int steps) {
  llm::Transport transport;
  auto profile = must(llm::parse_model_spec("rehearsal"));
  std::shared_ptr<llm::Provider> provider = must(llm::make_provider(profile, transport));
  auto engine = must(engine::Engine::start(
      {.location = {db::Engine::sqlite, path},
       .providers = [&](const base::json::object&) -> base::Result<std::shared_ptr<llm::Provider>> {
         return provider;
       }}));
  const std::string text = flow_of(steps);
  auto checked = flow::check_flow(text);
  if (!checked.ok()) fail({.message = checked.problems.front().message});
  store::NewFlowVersion version;
  version.name = "bench";
  version.title = "Bench";
  version.origin = "tertulia";
  version.source_format = "yaml";
  version.source = text;
  version.steps = checked.program->to_rows();
  version.now = base::Clock::system().now();
  std::vector<model::Id> ids;
  engine->writer().run([&](db::Connection& connection) {
    const auto saved = must(store::save_flow(connection, version));
    engine::CastingCall call;
    call.program = &*checked.program;
    call.flow_template_id = saved.version.flow_template_id;
    call.version = &saved.version;
    call.profile = "rehearsal";
    call.now = version.now;
    for (int i = 0; i < sessions; ++i) {
      call.seed = i;
      const auto wanted = must(engine::cast(
          call, [&](const std::string&) { return base::Result<llm::ModelProfile>(profile); },
          [](const std::string&) {
            return base::Result<std::optional<model::Role>>(std::nullopt);
          }));
      ids.push_back(must(store::create_session(connection, wanted)));
    }
  });
  const auto before = engine->writer().counts();
  const std::uint64_t allocated = allocations.load();
  const auto begin = steady_clock::now();
  for (const auto id : ids)
    engine->perform_soon(id, {}, [](const engine::Outcome& outcome) {
      if (outcome.error) fail(*outcome.error);
    });
  engine->wait_until_idle();
  EngineRun run;
  run.seconds = seconds_since(begin);
  run.counts = engine->writer().counts();
  run.counts.commits -= before.commits;
  run.counts.transactions -= before.transactions;
  run.allocations_per_step =
      static_cast<double>(allocations.load() - allocated) / (sessions * steps);
  return run;
}

void compare(std::string_view name, Place& place, int repetitions, int sessions, int steps,
             int per_transaction, double wanted) {
  std::vector<double> ratios, whole_ratios, rates, bare_rates;
  EngineRun last;
  for (int i = 0; i < repetitions; ++i) {  // in turns, so that both see the same machine
    const int all = sessions * steps;
    const BareResult bare = run_bare(place.fresh(), sessions, all, per_transaction);
    const BareResult whole = run_bare(place.fresh(), sessions, all, per_transaction, true);
    last = run_engine(place.fresh(), sessions, steps);
    bare_rates.push_back(all / bare.seconds);
    rates.push_back(all / last.seconds);
    ratios.push_back(rates.back() / bare_rates.back());
    whole_ratios.push_back(rates.back() * whole.seconds / all);
  }
  fmt::print(
      "{}: {:.2f} of the bare limit (wanted {:.1f}), {:.2f} of it where it writes the row of "
      "events "
      "too: {:.0f} steps/s, bare {:.0f}/s; {} commits in {} transactions, {:.0f} allocations a "
      "step\n",
      name, median(ratios), wanted, median(whole_ratios), median(rates), median(bare_rates),
      last.counts.commits, last.counts.transactions, last.allocations_per_step);
}

void long_session(Place& place, int steps) {
  const std::string bare_path = place.fresh();
  const BareResult bare = run_bare(bare_path, 1, steps, 64);
  const std::string path = place.fresh();
  const EngineRun run = run_engine(path, 1, steps);
  auto reader = must(db::open({db::Engine::sqlite, path}, {.access = db::Access::read}));
  const auto log = must(store::load_log(*reader, 1));
  reader.reset();
  std::vector<base::Timestamp> ends;
  for (const auto& row : log)
    if (row.completed_at && row.context_snapshot) ends.push_back(*row.completed_at);
  // Medians of hundreds: a single fsync that waits for the disk must not decide.
  const auto hundred = [&](size_t first) {
    std::vector<double> gaps;
    for (size_t i = first + 1; i <= first + 100; ++i)
      gaps.push_back(std::chrono::duration<double, std::micro>(ends[i] - ends[i - 1]).count());
    return median(gaps);
  };
  fmt::print(
      "W3: {} steps in {:.1f} s; last hundred {:.2f} of the first hundred's time (wanted 1.15 "
      "at most): {:.0f} and {:.0f} us a step; {:.2f} kB of database a step (wanted 2.4 at "
      "most), bare {:.2f}\n",
      steps, run.seconds, hundred(ends.size() - 102) / hundred(10), hundred(ends.size() - 102),
      hundred(10), static_cast<double>(fs::file_size(path)) / steps / 1000,
      bare.bytes_per_step / 1000);
}

void proof(const db::Location& location, double wanted) {
  {
    auto writer = must(db::open(location, {.access = db::Access::write, .create = true}));
    must(schema::migrate(*writer, static_cast<int>(schema::migrations(location.engine).size()),
                         schema::migrations(location.engine)));
  }
  const auto time_proof = [&] {
    std::vector<double> times;
    for (int i = 0; i < 9; ++i) {
      auto reader = must(db::open(location, {.access = db::Access::read}));
      const auto begin = steady_clock::now();
      const auto proved = must(schema::prove(*reader));
      times.push_back(seconds_since(begin) * 1000);
      if (!proved.may_run()) fail(proved.error());
    }
    return median(times);
  };
  const double alone = time_proof();
  {
    auto writer = must(db::open(location, {.access = db::Access::write}));
    for (int i = 0; i < 200; ++i)
      must(writer->run_script(fmt::format("CREATE TABLE foreign_{} (a INTEGER, b TEXT)", i)));
  }
  fmt::print(
      "proof at start on {}: {:.2f} ms, beside 200 foreign tables {:.2f} ms (wanted {} at "
      "most)\n",
      db::engine_name(location.engine), alone, time_proof(), wanted);
}

}  // namespace
}  // namespace tertulia::bench

int main(int argc, char** argv) {
  using namespace tertulia::bench;
  bool quick = false;
  std::string folder = "build/bench-data";
  std::string only;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--quick") {
      quick = true;
    } else if (word == "--dir" && i + 1 < argc) {
      folder = argv[++i];
    } else if (word == "--only" && i + 1 < argc) {
      only = argv[++i];
    } else {
      fmt::print(stderr,
                 "usage: tertulia_bench [--quick] [--dir FOLDER] [--only W1|W2|W3|proof]\n");
      return 2;
    }
  }
  const auto wanted = [&](std::string_view name) { return only.empty() || only == name; };
  Place place(folder);
  if (wanted("W1")) compare("W1", place, quick ? 3 : 7, 1, 300, 1, 0.8);
  if (wanted("W2")) compare("W2", place, quick ? 3 : 5, 100, 30, 64, 0.6);
  if (wanted("W3")) long_session(place, quick ? 4'000 : 20'000);
  if (wanted("proof")) {
    proof({tertulia::db::Engine::sqlite, place.fresh()}, 5);
    proof({tertulia::db::Engine::postgres,
           tertulia::test::PostgresServer::shared().create_database()},
          50);
  }
  return 0;
}
