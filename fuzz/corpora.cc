// Performs every file of the corpora: what fuzzing found, and what it began with.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/places.h"
#include "target.h"

namespace tertulia::fuzz {
namespace {

class Corpus : public testing::TestWithParam<std::string> {};

TEST_P(Corpus, HoldsItsLaws) {
  const std::filesystem::path folder = test::in_source("fuzz/corpus/" + GetParam());
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::stringstream bytes;
    bytes << file.rdbuf();
    SCOPED_TRACE(entry.path().filename().string());
    targets().at(GetParam())(bytes.str());
    ++files;
  }
  EXPECT_GT(files, 0);
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const auto& [name, target] : targets()) all.push_back(name);
  return all;
}
INSTANTIATE_TEST_SUITE_P(, Corpus, testing::ValuesIn(names()),
                         [](const auto& target) { return target.param; });

}  // namespace
}  // namespace tertulia::fuzz
