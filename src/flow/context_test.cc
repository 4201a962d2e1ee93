#include "flow/context.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "flow/test_session.h"

namespace tertulia::flow::test {
namespace {

using Scope = ContextRule::Scope;

// A session where a loop of author, critic and chair has run so often that `count` messages are
// said; the author writes a document. Round n holds messages 3n-2, 3n-1, 3n. Before the loop,
// nobody; messages are as long as their position has digits.
TestSession session_of(std::int64_t count) {
  Program program =
      program_of({loop(1'000'000, {speak("author"), speak("critic"), speak("chair")})});
  std::get<Speak>(program.steps[1].step).document = "essay";
  TestSession session(std::move(program));
  Limits limits;
  limits.steps = limits.rounds = 1'000'000;
  session.start(limits);
  for (std::int64_t i = 1; i <= count; ++i) session.answer(std::to_string(i));
  return session;
}

// One token a message.
std::string shown(const ContextRule& rule, const TestSession& session,
                  std::optional<std::int64_t> budget = {}) {
  const auto selected = select_context(rule, session.state(), session, budget,
                                       [](const Said&) -> std::int64_t { return 1; });
  if (!selected) return selected.error().message;
  std::string text;
  for (const Said& said : selected->messages) text += said.text + ' ';
  if (selected->dropped_through > 0) text += fmt::format("dropped {}", selected->dropped_through);
  return text;
}

ContextRule rule(Scope scope, std::vector<std::string> from = {},
                 std::optional<std::int64_t> last = {}) {
  ContextRule made;
  made.scope = scope;
  made.from = std::move(from);
  made.last = last;
  return made;
}

TEST(SelectContext, EveryScope) {
  struct Case {
    const char* name;
    ContextRule rule;
    std::optional<std::int64_t> budget;
    const char* expected;
  };
  ContextRule except = rule(Scope::all);
  except.except = {"critic", "chair"};
  ContextRule document = rule(Scope::all, {}, 3);
  document.documents = {"essay"};
  ContextRule other_document = rule(Scope::all, {}, 3);
  other_document.documents = {"poem"};
  const Case cases[] = {
      {"none", rule(Scope::none), {}, ""},
      {"topic", rule(Scope::topic), {}, ""},
      {"last", rule(Scope::last), {}, "8 "},
      {"last of a role that was not the last", rule(Scope::last, {"author"}), {}, ""},
      {"last of the role that was", rule(Scope::last, {"critic"}), {}, "8 "},
      {"all", rule(Scope::all), {}, "1 2 3 4 5 6 7 8 "},
      {"last 3", rule(Scope::all, {}, 3), {}, "6 7 8 "},
      {"last 30", rule(Scope::all, {}, 30), {}, "1 2 3 4 5 6 7 8 "},
      {"last 0", rule(Scope::all, {}, 0), {}, ""},
      {"this round", rule(Scope::this_round), {}, "7 8 "},
      {"last round", rule(Scope::last_round), {}, "4 5 6 "},
      {"last round, last 2", rule(Scope::last_round, {}, 2), {}, "5 6 "},
      {"from one", rule(Scope::all, {"critic"}), {}, "2 5 8 "},
      {"from two", rule(Scope::all, {"critic", "chair"}), {}, "2 3 5 6 8 "},
      {"from, last 2", rule(Scope::all, {"chair"}, 2), {}, "3 6 "},
      {"from, in this round", rule(Scope::this_round, {"chair"}), {}, ""},
      {"from one who never spoke", rule(Scope::all, {"ghost"}), {}, ""},
      {"except", except, {}, "1 4 7 "},
      {"versions of a shown document", document, {}, "5 6 8 "},
      {"versions of another", other_document, {}, "6 7 8 "},
      {"budget", rule(Scope::all), 3, "6 7 8 dropped 5"},
      {"budget that fits exactly", rule(Scope::all), 8, "1 2 3 4 5 6 7 8 "},
      {"budget of nothing", rule(Scope::all), 0, "dropped 8"},
      {"last before budget", rule(Scope::all, {}, 2), 3, "7 8 "},
      {"budget and from", rule(Scope::all, {"critic"}), 2, "5 8 dropped 2"},
  };
  const TestSession session = session_of(8);
  for (const Case& each : cases)
    EXPECT_EQ(shown(each.rule, session, each.budget), each.expected) << each.name;
}

TEST(SelectContext, RoundOneHasNoRoundBefore) {
  const TestSession session = session_of(2);
  EXPECT_EQ(shown(rule(Scope::last_round), session), "");
  EXPECT_EQ(shown(rule(Scope::this_round), session), "1 2 ");
  const TestSession silent = session_of(0);
  for (const Scope scope : {Scope::last, Scope::all, Scope::this_round, Scope::last_round})
    EXPECT_EQ(shown(rule(scope), silent), "");
}

TEST(SelectContext, SaysWhichMessageCannotBeRead) {
  class Gone final : public History {
    base::Result<const Said*> at(std::int64_t position) const override {
      return base::Error{.code = base::Code::storage,
                         .message = fmt::format("message {} cannot be read", position)};
    }
  };
  const TestSession session = session_of(3);
  const auto selected = select_context(rule(Scope::all), session.state(), Gone(), std::nullopt,
                                       [](const Said&) -> std::int64_t { return 1; });
  ASSERT_FALSE(selected.ok());
  EXPECT_EQ(selected.error().message, "message 3 cannot be read");
}

std::int64_t reads_of(const ContextRule& rule, const TestSession& session,
                      std::optional<std::int64_t> budget) {
  const std::int64_t before = session.reads();
  shown(rule, session, budget);
  return session.reads() - before;
}

// The cost of a step must not grow with the session.
TEST(SelectContext, ReadsNoMoreLateInALongSession) {
  struct Case {
    const char* name;
    ContextRule rule;
    std::optional<std::int64_t> budget;
    std::int64_t most;
  };
  ContextRule except = rule(Scope::all, {}, 4);
  except.except = {"critic"};
  const Case cases[] = {
      {"none", rule(Scope::none), {}, 0},
      {"last", rule(Scope::last), {}, 1},
      {"last 6", rule(Scope::all, {}, 6), {}, 6},
      {"this round", rule(Scope::this_round), {}, 3},
      {"last round", rule(Scope::last_round), {}, 3},
      {"budget", rule(Scope::all), 20, 21},
      {"from one, last 2", rule(Scope::all, {"chair"}, 2), {}, 6},
      {"from one who never spoke", rule(Scope::all, {"ghost"}), {}, 0},
      {"except, last 4", except, {}, 8},
  };
  const TestSession early = session_of(100);
  const TestSession late = session_of(20'000);
  for (const Case& each : cases) {
    EXPECT_LE(reads_of(each.rule, early, each.budget), each.most) << each.name;
    EXPECT_LE(reads_of(each.rule, late, each.budget), each.most) << each.name;
  }
}

TEST(SelectContext, FindsARoleThatSpokeOnceLongAgoAtOnce) {
  TestSession session(
      program_of({speak("b"), speak("founder"), loop(1'000'000, {speak("a"), speak("b")})}));
  Limits limits;
  limits.steps = limits.rounds = 1'000'000;
  session.start(limits);
  for (int i = 0; i < 15'000; ++i) session.answer(std::to_string(i));
  EXPECT_EQ(shown(rule(Scope::all, {"founder"}), session), "1 ");
  EXPECT_EQ(reads_of(rule(Scope::all, {"founder"}), session, {}), 1);
  // Without budget or count the walk has an end all the same.
  EXPECT_EQ(reads_of(rule(Scope::all), session, {}), kMaxLookBack);
  EXPECT_TRUE(shown(rule(Scope::all), session).ends_with("dropped 5000"));
}

}  // namespace
}  // namespace tertulia::flow::test
