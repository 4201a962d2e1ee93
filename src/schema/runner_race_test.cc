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

// What one of the programs does once it may start; never returns. `moves` is told how many
// migrations it applied.
[[noreturn]] void be_a_program(const TestDatabase& database, int start, int moves) {
  char byte = 0;
  if (::read(start, &byte, 1) != 0) ::_exit(100);
  auto connection = db::open(database.location(), {.access = db::Access::write, .create = true});
  if (!connection) {
    std::fprintf(stderr, "%s\n", connection.error().message.c_str());
    ::_exit(101);
  }
  auto done = migrate(**connection, database.head(), database.all());
  if (!done) {
    std::fprintf(stderr, "%s\n", done.error().message.c_str());
    ::_exit(102);
  }
  connection->reset();
  byte = static_cast<char>(done->moves.size());
  ::_exit(::write(moves, &byte, 1) == 1 ? 0 : 103);
}

class Race : public testing::TestWithParam<db::Engine> {};
INSTANTIATE_TEST_SUITE_P(, Race, kBothEngines, engine_of);

TEST_P(Race, EachMigrationIsAppliedOnce) {
  for (int round = 0; round < rounds(); ++round) {
    TestDatabase database(GetParam());
    database.close();
    int start[2];  // closed by us: all begin
    int moves[2];
    ASSERT_EQ(::pipe(start), 0);
    ASSERT_EQ(::pipe(moves), 0);
    std::vector<pid_t> programs;
    for (int i = 0; i < kPrograms; ++i) {
      const pid_t program = ::fork();
      ASSERT_GE(program, 0);
      if (program == 0) {
        ::close(start[1]);
        be_a_program(database, start[0], moves[1]);
      }
      programs.push_back(program);
    }
    ::close(start[0]);
    ::close(start[1]);
    ::close(moves[1]);
    for (const pid_t program : programs) {
      int status = 0;
      ASSERT_EQ(::waitpid(program, &status, 0), program);
      EXPECT_TRUE(WIFEXITED(status));
      EXPECT_EQ(WEXITSTATUS(status), 0);
    }
    int applied = 0;
    char byte = 0;
    while (::read(moves[0], &byte, 1) == 1) applied += byte;
    ::close(moves[0]);
    EXPECT_EQ(applied, database.head()) << "round " << round;
    EXPECT_EQ(database.proof().state, State::ready) << "round " << round;
    if (HasFailure()) break;
  }
}

}  // namespace
}  // namespace tertulia::schema
