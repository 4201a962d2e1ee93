// What took long is given again for a while, and made anew by one.
#include "server/kept_answers.h"

#include <gtest/gtest.h>

namespace tertulia::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const base::SteadyTime kMade{std::chrono::hours(5)};

std::string age_of(const Response& response) {
  for (const auto& [name, value] : response.fields)
    if (name == "Age") return value;
  return "";
}

TEST(KeptAnswers, WhatIsMadeQuicklyIsNotKept) {
  KeptAnswers kept;
  kept.keep("/usage?", {.body = "one"}, KeptAnswers::kQuick, kMade);
  EXPECT_FALSE(kept.find("/usage?", kMade).answer);
  // Neither where it once took long.
  kept.keep("/usage?", {.body = "two"}, seconds(1), kMade);
  EXPECT_TRUE(kept.find("/usage?", kMade).answer);
  kept.keep("/usage?", {.body = "three"}, milliseconds(1), kMade);
  EXPECT_FALSE(kept.find("/usage?", kMade).answer);
}

TEST(KeptAnswers, IsGivenWithItsAgeAndThenMadeAnewByOne) {
  KeptAnswers kept;
  kept.keep("/usage?", {.body = "one"}, seconds(2), kMade);
  EXPECT_FALSE(kept.find("/usage?flow=talk", kMade).answer);
  auto found = kept.find("/usage?", kMade + seconds(20));
  ASSERT_TRUE(found.answer);
  EXPECT_EQ(found.answer->body, "one");
  EXPECT_EQ(age_of(*found.answer), "20");
  EXPECT_FALSE(found.is_to_be_renewed);
  found = kept.find("/usage?", kMade + seconds(21));
  EXPECT_TRUE(found.answer && found.is_to_be_renewed);
  found = kept.find("/usage?", kMade + seconds(22));
  EXPECT_TRUE(found.answer && !found.is_to_be_renewed) << "somebody else is at it";
  kept.keep("/usage?", {.body = "two"}, seconds(1), kMade + seconds(24));
  found = kept.find("/usage?", kMade + seconds(25));
  ASSERT_TRUE(found.answer);
  EXPECT_EQ(found.answer->body, "two");
  EXPECT_EQ(age_of(*found.answer), "1");
}

TEST(KeptAnswers, IsNotGivenOnceItIsOld) {
  KeptAnswers kept;
  kept.keep("/usage?", {.body = "one"}, seconds(2), kMade);
  EXPECT_FALSE(kept.find("/usage?", kMade + seconds(41)).answer);
}

TEST(KeptAnswers, KeepsSoManyTheNewest) {
  KeptAnswers kept;
  for (std::size_t i = 0; i <= KeptAnswers::kMost; ++i)
    kept.keep(std::to_string(i), {}, seconds(100), kMade + seconds(i));
  EXPECT_FALSE(kept.find("0", kMade + seconds(40)).answer);
  EXPECT_TRUE(kept.find("1", kMade + seconds(40)).answer);
}

}  // namespace
}  // namespace tertulia::server
