// Performs every file of the corpora: what fuzzing found, and what it began with.
#include <gtest/gtest.h>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/json.h"
#include "served.h"
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

// Fuzzing finds its way into an operation from a request that is right.
TEST(CorpusOfRequests, EveryOperationIsAmongItsInputs) {
  std::set<std::string> known;
  for (const auto& entry :
       std::filesystem::directory_iterator(test::in_source("fuzz/corpus/api_request"))) {
    std::ifstream file(entry.path());
    std::string operation;
    std::getline(file, operation);
    known.insert(operation);
  }
  const auto document = base::parse_json(served().document());
  ASSERT_TRUE(document);
  for (const auto& [path, methods] : document->at("paths").as_object())
    for (const auto& [method, operation] : methods.as_object()) {
      std::string upper(method);
      for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      EXPECT_TRUE(known.contains(upper + ' ' + std::string(path))) << upper << ' ' << path;
    }
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
