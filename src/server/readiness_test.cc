#include "server/readiness.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "engine/engine_fixture.h"

namespace tertulia::server {
namespace {

using engine::test::EngineFixture;
using engine::test::must;

// Who was told that the database is well again must not be refused by what another saw before.
TEST(Readiness, AnOlderLookDoesNotReplaceANewerOne) {
  EngineFixture fixture;
  auto writer = must(db::open(fixture.location(), {.access = db::Access::write}));
  const auto rename = [&](const char* from, const char* to) {
    const auto done =
        writer->run_script(std::string("ALTER TABLE ") + from + " RENAME TO " + to + ";");
    ASSERT_TRUE(done) << done.error().message << done.error().detail;
  };
  Readiness readiness(fixture.location());
  std::atomic<bool> over = false;
  std::atomic<int> looks = 0;
  std::vector<std::thread> others;
  for (int i = 0; i < 8; ++i)
    others.emplace_back([&] {
      while (!over) {
        static_cast<void>(readiness.look());
        ++looks;
      }
    });
  // Looks now, and as long as those that had begun before may still come to their end.
  const auto expect = [&](bool is_well) {
    EXPECT_EQ(!readiness.look(), is_well);
    for (const int last = looks + 16; looks < last;) ASSERT_EQ(!readiness.trouble(), is_well);
  };
  for (int times = 0; times < 8; ++times) {
    rename("api_tokens", "away");
    expect(false);
    rename("away", "api_tokens");
    expect(true);
  }
  over = true;
  for (std::thread& other : others) other.join();
}

}  // namespace
}  // namespace tertulia::server
