// The store's promises, on both engines: every named statement is right for the migrated schema, a
// commit is whole or absent and fenced by its lease, and what is written comes back.
#include <gtest/gtest.h>

#include "schema/migration.h"
#include "schema/runner.h"
#include "store/commit.h"
#include "store/flows.h"
#include "store/leases.h"
#include "store/sessions.h"
#include "store/sql.h"
#include "store/step_log.h"
#include "support/postgres_server.h"
#include "support/temp_dir.h"

namespace tertulia::store {
namespace {

base::Timestamp at(std::int64_t seconds) {
  return base::Timestamp(std::chrono::seconds(1'700'000'000 + seconds));
}

class StoreTest : public ::testing::TestWithParam<db::Engine> {
 protected:
  void SetUp() override {
    const db::Location location =
        GetParam() == db::Engine::sqlite
            ? db::Location{db::Engine::sqlite, folder_.file("t.db")}
            : db::Location{db::Engine::postgres, test::PostgresServer::shared().create_database()};
    auto opened = db::open(location, {.access = db::Access::write, .create = true});
    ASSERT_TRUE(opened) << opened.error().message;
    db_ = *std::move(opened);
    const auto migrations = schema::migrations(GetParam());
    auto migrated = schema::migrate(*db_, static_cast<int>(migrations.size()), migrations);
    ASSERT_TRUE(migrated) << migrated.error().message;
  }

  // A flow of two speak steps.
  SavedFlow save_flow_text(const std::string& source) {
    NewFlowVersion wanted;
    wanted.name = "talk";
    wanted.title = "Talk";
    wanted.topic = "Tea";
    wanted.origin = "tertulia";
    wanted.source_format = "yaml";
    wanted.source = source;
    wanted.now = at(0);
    for (std::int64_t order = 1; order <= 2; ++order) {
      model::FlowStep step;
      step.order = order;
      step.kind = "speak";
      step.speaker_role_ref = "评论人（编辑）";
      step.spec = "{}";
      wanted.steps.push_back(step);
    }
    auto saved = save_flow(*db_, wanted);
    EXPECT_TRUE(saved) << saved.error().message;
    return *std::move(saved);
  }

  Id make_session() {
    const SavedFlow flow = save_flow_text("text");
    auto steps = load_flow_steps(*db_, flow.version.id);
    EXPECT_TRUE(steps);
    steps_ = *steps;
    NewSession wanted;
    wanted.topic = "Tea or coffee?";
    wanted.flow_template_id = flow.version.flow_template_id;
    wanted.flow_version_id = flow.version.id;
    wanted.flow_snapshot = "{}";
    wanted.roles_snapshot = "[]";
    wanted.seed = 42;
    wanted.roles = {{"a", std::nullopt}, {"b", std::nullopt}};
    wanted.state = "{\"n\":0}";
    wanted.now = at(1);
    auto id = create_session(*db_, wanted);
    EXPECT_TRUE(id) << id.error().message;
    return *id;
  }

  std::int64_t claim(Id session, const std::string& node = "n1") {
    auto token = claim_lease(*db_, session, node, std::nullopt, base::Clock::system().now());
    EXPECT_TRUE(token) << token.error().message;
    EXPECT_TRUE(*token);
    return token->value_or(0);
  }

  // Opens row 1.
  Commit opening(Id session, std::int64_t token) {
    Commit commit;
    commit.session_id = session;
    commit.lease_token = token;
    commit.now = at(2);
    RowOpened row;
    row.step_id = steps_[0].id;
    row.order = 1;
    row.created_at = at(2);
    row.started_at = at(2);
    row.step_snapshot = "{\"kind\":\"speak\"}";
    row.context_snapshot = "{\"rule\":\"all\"}";
    commit.opened.push_back(row);
    commit.advance.executed_steps = 1;
    commit.advance.current_step_id = steps_[0].id;
    commit.state = "{\"n\":1}";
    return commit;
  }

  // Closes row 1 with a message, opens row 2 below it.
  Commit answering(Id session, std::int64_t token) {
    Commit commit;
    commit.session_id = session;
    commit.lease_token = token;
    commit.now = at(3);
    auto roles = load_session_roles(*db_, session);
    EXPECT_TRUE(roles);
    model::Message message;
    message.speaker_session_role_id = roles->front().id;
    message.content = "茶比咖啡好 100%_sure \\ 🙂";
    message.created_at = at(3);
    message.position = 1;
    message.document = "note";
    message.document_version = 1;
    commit.said.push_back(message);
    RowClosed closed;
    closed.order = 1;
    closed.attempt = 2;
    closed.result_type = model::ResultType::success;
    closed.result_data = "{\"position\":1}";
    closed.duration_ms = 12;
    closed.memory_mb = 1.5;
    closed.completed_at = at(3);
    closed.said_position = 1;
    commit.closed.push_back(closed);
    CallMade made;
    made.order = 1;
    made.call.attempt = 2;
    made.call.outcome = "ok";
    made.call.profile = "p";
    made.call.provider = "rehearsal";
    made.call.model = "m";
    made.call.prompt_tokens = 10;
    made.call.completion_tokens = 5;
    made.call.cost_usd = 0.25;
    made.call.started_at = at(2);
    commit.calls.push_back(made);
    RowOpened row;
    row.step_id = steps_[1].id;
    row.parent_order = 1;
    row.order = 2;
    row.created_at = at(3);
    row.status = model::StepStatus::pending;
    row.step_snapshot = "{}";
    commit.opened.push_back(row);
    commit.advance.status = model::SessionStatus::paused;
    commit.advance.stop_reason = model::StopReason::asked;
    commit.advance.round = 2;
    commit.advance.executed_steps = 2;
    commit.state = "{\"n\":2}";
    return commit;
  }

  base::Result<void> perform(const Commit& commit) {
    auto transaction = db::Transaction::begin(*db_);
    if (!transaction) return transaction.error();
    if (auto applied = apply(*db_, commit); !applied) return applied;
    return transaction->commit();
  }

  test::TempDir folder_;
  std::unique_ptr<db::Connection> db_;
  std::vector<model::FlowStep> steps_;
};

TEST_P(StoreTest, EveryNamedStatementIsRightForTheSchema) {
  ASSERT_GT(sql::all().size(), 30u);
  for (const db::Sql* statement : sql::all()) {
    auto checked = db_->check(*statement);
    EXPECT_TRUE(checked) << statement->name << ": " << checked.error().message << " "
                         << checked.error().detail;
  }
}

TEST_P(StoreTest, ACommitsRowsComeBackWhole) {
  const Id session = make_session();
  const std::int64_t token = claim(session);
  ASSERT_TRUE(perform(opening(session, token)));
  auto done = perform(answering(session, token));
  ASSERT_TRUE(done) << done.error().message << done.error().detail;

  auto log = load_log(*db_, session);
  ASSERT_TRUE(log) << log.error().message;
  ASSERT_EQ(log->size(), 2u);
  const auto& first = (*log)[0];
  auto messages = load_messages(*db_, session);
  ASSERT_TRUE(messages);
  ASSERT_EQ(messages->size(), 1u);
  EXPECT_EQ(first.result_data,
            "{\"message_id\":" + std::to_string((*messages)[0].id) + ",\"position\":1}");
  EXPECT_EQ(first.status, model::StepStatus::completed);
  EXPECT_EQ(first.result_type, model::ResultType::success);
  EXPECT_EQ(first.attempt_count, 2);
  EXPECT_EQ(first.duration_ms, 12);
  EXPECT_EQ(first.memory_usage_mb, 1.5);
  EXPECT_EQ(first.started_at, at(2));
  EXPECT_EQ(first.completed_at, at(3));
  EXPECT_EQ(first.condition_evaluation, std::nullopt);
  const auto& second = (*log)[1];
  EXPECT_EQ(second.parent_log_id, first.id);
  EXPECT_EQ(second.status, model::StepStatus::pending);
  EXPECT_EQ(second.started_at, std::nullopt);
  EXPECT_EQ((*messages)[0].content, "茶比咖啡好 100%_sure \\ 🙂");
  EXPECT_EQ((*messages)[0].document, "note");

  auto row = load_session(*db_, session);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->status, model::SessionStatus::paused);
  EXPECT_EQ(row->stop_reason, model::StopReason::asked);
  EXPECT_EQ(row->current_round, 2);
  EXPECT_EQ(row->updated_at, at(3));
  EXPECT_EQ(load_machine_state(*db_, session)->state, "{\"n\":2}");
  auto usage = sum_usage(*db_, session);
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->calls, 1);
  EXPECT_EQ(usage->prompt_tokens, 10);
  EXPECT_EQ(usage->cost_usd, 0.25);
}

TEST_P(StoreTest, ACommitUnderAnOldTokenWritesNothing) {
  const Id session = make_session();
  const std::int64_t old_token = claim(session);
  ASSERT_TRUE(perform(opening(session, old_token)));
  ASSERT_TRUE(release_lease(*db_, session, old_token));
  const std::int64_t token = claim(session, "n2");
  EXPECT_GT(token, old_token);
  auto done = perform(answering(session, old_token));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, base::Code::conflict);
  EXPECT_EQ(load_messages(*db_, session)->size(), 0u);
  EXPECT_EQ(load_machine_state(*db_, session)->state, "{\"n\":1}");
  EXPECT_TRUE(perform(answering(session, token)));
}

TEST_P(StoreTest, AnExecutionOrderIsUsedOnce) {
  const Id session = make_session();
  const std::int64_t token = claim(session);
  ASSERT_TRUE(perform(opening(session, token)));
  auto again = perform(opening(session, token));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, base::Code::conflict);
  EXPECT_EQ(load_log(*db_, session)->size(), 1u);
}

TEST_P(StoreTest, ALeaseIsHeldByOneNode) {
  const Id session = make_session();
  const auto now = base::Clock::system().now();
  const std::int64_t token = claim(session, "n1");
  auto other = claim_lease(*db_, session, "n2", std::nullopt, now);
  ASSERT_TRUE(other);
  EXPECT_EQ(*other, std::nullopt) << "it is held";
  auto taken = claim_lease(*db_, session, "n2", std::string("n1"), now);
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, token + 1) << "its holder is known to be dead";

  auto asked = ask_holder(*db_, session, "pause");
  ASSERT_TRUE(asked);
  EXPECT_TRUE(*asked);
  EXPECT_EQ(load_requests(*db_, "n1")->size(), 0u);
  auto requests = load_requests(*db_, "n2");
  ASSERT_EQ(requests->size(), 1u);
  EXPECT_EQ((*requests)[0].request, "pause");
  ASSERT_TRUE(clear_request(*db_, session, token + 1));
  EXPECT_EQ(load_requests(*db_, "n2")->size(), 0u);

  ASSERT_TRUE(renew_leases(*db_, "n2", now));
  ASSERT_TRUE(release_lease(*db_, session, token));
  EXPECT_EQ((*find_lease(*db_, session))->node, "n2") << "an old token releases nothing";
  ASSERT_TRUE(release_lease(*db_, session, token + 1));
  EXPECT_FALSE(*ask_holder(*db_, session, "pause")) << "nobody holds it";
}

TEST_P(StoreTest, AFlowsVersionsAreKept) {
  const SavedFlow first = save_flow_text("one");
  EXPECT_TRUE(first.is_new);
  EXPECT_EQ(first.version.number, 1);
  EXPECT_FALSE(save_flow_text("one").is_new);
  const SavedFlow second = save_flow_text("two");
  EXPECT_EQ(second.version.number, 2);
  auto flow = find_flow(*db_, "talk");
  ASSERT_TRUE(flow && *flow);
  EXPECT_EQ(load_flow_version(*db_, **flow, 1)->source, "one");
  EXPECT_EQ(load_flow_version(*db_, **flow)->source, "two");
  EXPECT_EQ(load_flow_version(*db_, **flow, 7).error().code, base::Code::not_found);
  EXPECT_EQ(list_flow_versions(*db_, (*flow)->id)->size(), 2u);
  auto steps = load_flow_steps(*db_, second.version.id);
  ASSERT_EQ(steps->size(), 2u);
  EXPECT_EQ((*steps)[1].order, 2);
  EXPECT_EQ((*steps)[1].speaker_role_ref, "评论人（编辑）");
  EXPECT_EQ(list_flows(*db_)->front().latest_version, 2);
}

TEST_P(StoreTest, SearchFindsWhatIsThereLiterally) {
  const Id session = make_session();
  const std::int64_t token = claim(session);
  ASSERT_TRUE(perform(opening(session, token)));
  ASSERT_TRUE(perform(answering(session, token)));
  for (const auto& [text, count] : {std::pair<const char*, size_t>{"咖啡", 1},
                                    {"100%_SURE", 1},
                                    {"100%sure", 0},
                                    {"\\", 1},
                                    {"_", 1},
                                    {"tea", 0}}) {
    auto found = search_messages(*db_, text, 10);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->size(), count) << text;
  }
}

TEST_P(StoreTest, ListFiltersAndPages) {
  const Id first = make_session();
  const Id second = make_session();
  const Id third = make_session();
  const std::int64_t token = claim(second);
  ASSERT_TRUE(perform(opening(second, token)));  // it is running now
  const auto ids_of = [&](const SessionFilter& filter) {
    std::vector<Id> ids;
    auto done = each_session(*db_, filter, [&](const SessionSummary& each) -> base::Result<void> {
      ids.push_back(each.id);
      return {};
    });
    EXPECT_TRUE(done) << done.error().message << done.error().detail;
    auto count = count_sessions(*db_, filter);
    EXPECT_TRUE(count) << count.error().message << count.error().detail;
    EXPECT_EQ(*count, static_cast<std::int64_t>(ids.size()));
    return ids;
  };
  using Ids = std::vector<Id>;
  using model::SessionStatus;
  EXPECT_EQ(ids_of({}), (Ids{third, second, first})) << "newest first";
  EXPECT_EQ(ids_of({.statuses = {SessionStatus::running}}), Ids{second});
  EXPECT_EQ(ids_of({.statuses = {SessionStatus::running, SessionStatus::not_started}}),
            (Ids{third, second, first}));
  EXPECT_EQ(ids_of({.statuses = {SessionStatus::finished}}), Ids{});
  EXPECT_EQ(ids_of({.flow = "talk"}), (Ids{third, second, first}));
  EXPECT_EQ(ids_of({.flow = "other"}), Ids{});
  EXPECT_EQ(ids_of({.statuses = {SessionStatus::finished, SessionStatus::running}}), Ids{second});
  EXPECT_EQ(ids_of({.statuses = {SessionStatus::running}, .flow = "talk"}), Ids{second});
  EXPECT_EQ(ids_of({.statuses = {SessionStatus::running}, .flow = "other"}), Ids{});
  EXPECT_EQ(ids_of({.ids = {first, third}}), (Ids{third, first}));
  EXPECT_EQ(ids_of({.ids = {first, second}, .statuses = {SessionStatus::running}}), Ids{second});
  EXPECT_EQ(ids_of({.ids = {third + 10}}), Ids{});
  auto summary = list_sessions(*db_, {.filter = {.ids = {first}}});
  ASSERT_TRUE(summary && summary->size() == 1);
  const base::Timestamp changed = summary->front().updated_at;
  const std::chrono::microseconds moment(1);
  EXPECT_EQ(ids_of({.ids = {first}, .changed_before = changed}), Ids{});
  EXPECT_EQ(ids_of({.ids = {first}, .changed_before = changed + moment}), Ids{first});

  auto page = list_sessions(*db_, {.filter = {}, .below = third, .limit = 1});
  ASSERT_TRUE(page && page->size() == 1);
  EXPECT_EQ((*page)[0].id, second);
  EXPECT_EQ((*page)[0].flow, "talk");
  EXPECT_EQ((*page)[0].topic, "Tea or coffee?");
}

TEST_P(StoreTest, EverySessionIsReadThoughPagesAreSmallAndRowsGo) {
  std::vector<Id> made, seen;
  for (int i = 0; i < 450; ++i) made.push_back(make_session());
  auto done = each_session(*db_, {}, [&](const SessionSummary& each) -> base::Result<void> {
    seen.push_back(each.id);
    return each.id % 2 == 0 ? delete_session(*db_, each.id) : base::Result<void>();
  });
  ASSERT_TRUE(done) << done.error().message;
  std::reverse(seen.begin(), seen.end());
  EXPECT_EQ(seen, made);
}

TEST_P(StoreTest, DeletingASessionTakesAllOfItAndNoMore) {
  const Id kept = make_session();
  const std::int64_t kept_token = claim(kept);
  ASSERT_TRUE(perform(opening(kept, kept_token)));
  const Id gone = make_session();
  const std::int64_t token = claim(gone);
  ASSERT_TRUE(perform(opening(gone, token)));
  ASSERT_TRUE(perform(answering(gone, token)));
  auto deleted = delete_session(*db_, gone);
  ASSERT_TRUE(deleted) << deleted.error().message << deleted.error().detail;
  EXPECT_EQ(load_session(*db_, gone).error().code, base::Code::not_found);
  EXPECT_TRUE(load_log(*db_, gone)->empty());
  EXPECT_TRUE(load_messages(*db_, gone)->empty());
  EXPECT_EQ(load_log(*db_, kept)->size(), 1u);
  EXPECT_EQ(delete_session(*db_, gone).error().code, base::Code::not_found);
  EXPECT_GT(make_session(), gone) << "an id is never used again";
}

TEST_P(StoreTest, RolesAreKeptByName) {
  ASSERT_TRUE(save_role(*db_, "Chair", "You chair.", std::nullopt, at(0)));
  ASSERT_TRUE(save_role(*db_, "Chair", "You chair well.", std::string("{\"model\":\"m\"}"), at(1)));
  auto role = find_role(*db_, "Chair");
  ASSERT_TRUE(role && *role);
  EXPECT_EQ((*role)->prompt, "You chair well.");
  EXPECT_EQ((*role)->settings, "{\"model\":\"m\"}");
  EXPECT_EQ(list_roles(*db_)->size(), 1u);
  EXPECT_FALSE(*find_role(*db_, "chair"));
}

INSTANTIATE_TEST_SUITE_P(Engines, StoreTest,
                         ::testing::Values(db::Engine::sqlite, db::Engine::postgres),
                         [](const auto& test) { return std::string(db::engine_name(test.param)); });

}  // namespace
}  // namespace tertulia::store
