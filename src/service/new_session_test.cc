// Making sessions from wishes, and limits over those in force.
#include "service/new_session.h"

#include "service/role_library.h"
#include "service/test_sessions.h"

namespace tertulia::service {
namespace {

class NewSessionTest : public test::OnBothEngines {};

TEST_P(NewSessionTest, WishesThatDoNotFitAreRefusedTogetherAndNothingIsMade) {
  SessionWishes wishes;
  wishes.roles = {{"an", "nobody"}};
  wishes.variables = {{"colour", "red"}};
  const auto made = try_make(test::kTalk, wishes);
  EXPECT_ERROR(made, invalid, "'an'");
  EXPECT_THAT(made.error().message, testing::HasSubstr("'colour'"));
  auto sessions = store::list_sessions(reader(), {});
  ASSERT_TRUE(sessions);
  EXPECT_TRUE(sessions->empty());
}

TEST_P(NewSessionTest, ATextWithMistakesMakesNone) {
  EXPECT_ERROR(try_make("tertulia: 1\nname: x\n"), invalid, "nothing was stored");
}

TEST_P(NewSessionTest, LimitsThatAreNotSaidAreTheFlows) {
  SessionWishes wishes;
  wishes.limits.steps = 2;
  const auto id = perform(test::kTalk, wishes);
  auto row = store::load_session(reader(), id);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->stop_reason, model::StopReason::limit_steps);
  auto none = limits_in_session(reader(), id, {});
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  auto raised = limits_in_session(reader(), id, {.tokens = 7, .cost_usd = 0.5});
  ASSERT_TRUE(raised);
  ASSERT_TRUE(*raised);
  EXPECT_EQ((*raised)->steps, 2);
  EXPECT_EQ((*raised)->rounds, flow::Limits().rounds);
  EXPECT_EQ((*raised)->tokens, 7);
  EXPECT_EQ((*raised)->cost_nano, 500'000'000);
  EXPECT_ERROR(limits_in_session(reader(), 99, {.steps = 1}), not_found, "99");
}

TEST_P(NewSessionTest, ASeedThatIsNotSaidIsAFreshOne) {
  const flow::Program program;
  const model::FlowVersion version;
  const auto seed = [&] { return casting_call(program, version, {}, {}).seed; };
  EXPECT_NE(seed(), seed());
  EXPECT_EQ(casting_call(program, version, {.seed = 0}, {}).seed, 0);
}

TEST_P(NewSessionTest, RolesAreFoundByNameOrWhatIsNearIsNamed) {
  EXPECT_ERROR(find_role(reader(), "chair"), not_found, "no stored role 'chair'");
  auto saved = write<bool>([](db::Connection& writer) -> base::Result<bool> {
    auto done = store::save_role(writer, "chair", "You chair.", R"({"temperature":0.5})", {});
    if (!done) return done.error();
    return true;
  });
  ASSERT_TRUE(saved);
  EXPECT_ERROR(find_role(reader(), "chairs"), not_found, "did you mean 'chair'?");
  auto role = find_role(reader(), "chair");
  ASSERT_TRUE(role);
  EXPECT_EQ(base::to_text(role_json(*role)),
            R"({"name":"chair","prompt":"You chair.","settings":{"temperature":0.5}})");
  auto listed = list_roles_json(reader());
  ASSERT_TRUE(listed);
  EXPECT_EQ(listed->at("items").as_array().size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(, NewSessionTest, schema::kBothEngines, schema::engine_of);

}  // namespace
}  // namespace tertulia::service
