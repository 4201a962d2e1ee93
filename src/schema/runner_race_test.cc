// Thirty-two programs that migrate one fresh database at the same moment. They are processes,
// because a process writes a SQLite file with one connection only.
//
// TERTULIA_ROUNDS sets how many times (three, unless it is set: the test run should stay short).
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "schema/test_database.h"

namespace tertulia::schema {
namespace {

constexpr int kPrograms = 32;

int rounds() {
  const char* wanted = std::getenv("TERTULIA_ROUNDS");
  return wanted != nullptr ? std::atoi(wanted) : 3;
}

// What the programs did, all together: a byte for each migration and for each backup.
struct Deeds {
  int moves = 0;
  int backups = 0;
};
constexpr char kMove = 'm';
constexpr char kBackup = 'b';

// What one of the programs does once it may start; never returns.
[[noreturn]] void be_a_program(const TestDatabase& database, int start, int deeds) {
  char byte = 0;
  if (::read(start, &byte, 1) != 0) ::_exit(100);
  auto connection = db::open(database.location(), {.access = db::Access::write, .create = true});
  if (!connection) {
    std::fprintf(stderr, "%s\n", connection.error().message.c_str());
    ::_exit(101);
  }
  RunOptions options;
  options.before_first_move = [&](int) -> base::Result<void> {
    if (::write(deeds, &kBackup, 1) != 1) ::_exit(104);
    return {};
  };
  auto done = migrate(**connection, database.head(), database.all(), options);
  if (!done) {
    std::fprintf(stderr, "%s\n", done.error().message.c_str());
    ::_exit(102);
  }
  connection->reset();
  const std::string moves(done->moves.size(), kMove);
  const auto written = ::write(deeds, moves.data(), moves.size());
  ::_exit(written == static_cast<ssize_t>(moves.size()) ? 0 : 103);
}

Deeds race(TestDatabase& database) {
  database.close();
  int start[2];  // closed by us: all begin
  int deeds[2];
  EXPECT_EQ(::pipe(start), 0);
  EXPECT_EQ(::pipe(deeds), 0);
  std::vector<pid_t> programs;
  for (int i = 0; i < kPrograms; ++i) {
    const pid_t program = ::fork();
    EXPECT_GE(program, 0);
    if (program == 0) {
      ::close(start[1]);
      be_a_program(database, start[0], deeds[1]);
    }
    programs.push_back(program);
  }
  for (const int end : {start[0], start[1], deeds[1]}) ::close(end);
  for (const pid_t program : programs) {
    int status = 0;
    EXPECT_EQ(::waitpid(program, &status, 0), program);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
  Deeds all;
  char byte = 0;
  while (::read(deeds[0], &byte, 1) == 1) ++(byte == kMove ? all.moves : all.backups);
  ::close(deeds[0]);
  return all;
}

class Race : public testing::TestWithParam<db::Engine> {};
INSTANTIATE_TEST_SUITE_P(, Race, kBothEngines, engine_of);

TEST_P(Race, EachMigrationIsAppliedOnce) {
  for (int round = 0; round < rounds(); ++round) {
    TestDatabase database(GetParam());
    const Deeds all = race(database);
    EXPECT_EQ(all.moves, database.head()) << "round " << round;
    EXPECT_EQ(all.backups, 0) << "round " << round;
    EXPECT_EQ(database.proof().state, State::ready) << "round " << round;
    if (HasFailure()) break;
  }
}

TEST_P(Race, RowsAreSavedOnce) {
  TestDatabase database(GetParam());
  database.migrate_to(5);
  database.run(
      "INSERT INTO roles (name, prompt, created_at, updated_at) VALUES ('writer', 'You write.', "
      "'2026-01-02T03:04:05Z', '2026-01-02T03:04:05Z')");
  const Deeds all = race(database);
  EXPECT_EQ(all.moves, database.head() - 5);
  EXPECT_EQ(all.backups, 1);
  EXPECT_EQ(database.proof().state, State::ready);
}

}  // namespace
}  // namespace tertulia::schema
