// What is read of a session in several statements is of one moment: the session goes on to its end
// before the first statement, before the second, and so on, and what was read is always how it
// stood before, or how it stands after.
#include <fmt/format.h>

#include "engine/explain.h"
#include "service/session_compare.h"
#include "service/session_export.h"
#include "service/session_proof.h"
#include "service/session_view.h"
#include "service/test_sessions.h"
#include "support/flows.h"

namespace tertulia::service {
namespace {

namespace json = base::json;

// Reads by another connection; before the statement `at`, counted from 0, something happens.
class DisturbedReader final : public db::Connection {
 public:
  DisturbedReader(db::Connection& reader, int at, std::function<void()> happens)
      : reader_(reader), left_(at), happens_(std::move(happens)) {}

  [[nodiscard]] bool was_disturbed() const { return left_ < 0; }

  db::Engine engine() const override { return reader_.engine(); }
  base::Result<std::int64_t> run(const db::Sql& sql, db::Params params) override {
    count();
    return reader_.run(sql, params);
  }
  base::Result<std::int64_t> each(const db::Sql& sql, db::Params params,
                                  const db::RowFn& row) override {
    count();
    return reader_.each(sql, params, row);
  }
  base::Result<std::int64_t> each_text(std::string_view text, db::Params params,
                                       const db::RowFn& row) override {
    count();
    return reader_.each_text(text, params, row);
  }
  base::Result<void> run_batch(std::span<const db::Work> works) override {
    return reader_.run_batch(works);
  }
  base::Result<void> run_script(std::string_view text) override { return reader_.run_script(text); }
  base::Result<void> check(const db::Sql& sql) override { return reader_.check(sql); }
  base::Result<void> begin() override { return reader_.begin(); }
  base::Result<void> commit() override { return reader_.commit(); }
  void rollback() override { reader_.rollback(); }
  bool in_transaction() const override { return reader_.in_transaction(); }
  void interrupt() override { reader_.interrupt(); }

 private:
  void count() {
    if (left_-- == 0) happens_();
  }

  db::Connection& reader_;
  int left_;
  std::function<void()> happens_;
};

class OneMoment : public test::OnBothEngines {
 protected:
  using Read = std::function<base::Result<std::string>(db::Connection&, model::Id)>;

  void expect_one_moment(const Read& read) {
    constexpr int kMostStatements = 50;
    for (int at = 0; at < kMostStatements; ++at) {
      const model::Id id = perform(tertulia::test::kAskingFlow);
      auto before = read(reader(), id);
      ASSERT_TRUE(before) << before.error().message;
      DisturbedReader disturbed(reader(), at, [&] {
        auto ended =
            engine_->perform_and_wait(id, {.action = engine::Action::answer, .words = "Rye."});
        EXPECT_TRUE(ended) << ended.error().message;
      });
      auto found = read(disturbed, id);
      ASSERT_TRUE(found) << found.error().message;
      EXPECT_FALSE(reader().in_transaction());
      if (!disturbed.was_disturbed()) {
        EXPECT_GT(at, 1) << "it is one statement";
        return;
      }
      auto after = read(reader(), id);
      ASSERT_TRUE(after) << after.error().message;
      ASSERT_NE(*before, *after);
      EXPECT_TRUE(*found == *before || *found == *after)
          << "the session moved before statement " << at << ":\n"
          << *found << "\nbefore:\n"
          << *before << "\nafter:\n"
          << *after;
    }
    FAIL() << "it takes too many statements";
  }
};

TEST_P(OneMoment, ASession) {
  expect_one_moment([&](db::Connection& reader, model::Id id) -> base::Result<std::string> {
    auto shown = session_json(reader, flows_, id);
    if (!shown) return shown.error();
    return base::to_text(*shown);
  });
}

TEST_P(OneMoment, TheLogWithItsCalls) {
  expect_one_moment([&](db::Connection& reader, model::Id id) -> base::Result<std::string> {
    auto page = list_log_json(reader, flows_, id, 0, 100,
                              {.snapshots = true, .words = true, .calls = true});
    if (!page) return page.error();
    return base::to_text(json::value(page->items));
  });
}

TEST_P(OneMoment, WhomItWaitsFor) {
  expect_one_moment([&](db::Connection& reader, model::Id id) -> base::Result<std::string> {
    auto waiting = list_waiting_json(reader, flows_, id);
    if (!waiting) return waiting.error();
    return base::to_text(json::value(*waiting));
  });
}

TEST_P(OneMoment, AProof) {
  expect_one_moment([&](db::Connection& reader, model::Id id) -> base::Result<std::string> {
    auto explained = engine::explain(reader, flows_, id, providers());
    if (!explained) return explained.error();
    EXPECT_TRUE(explained->agrees());
    return base::to_text(proof_json(id, *explained));
  });
}

TEST_P(OneMoment, AComparison) {
  const model::Id other = perform(tertulia::test::kAskingFlow);
  expect_one_moment([&](db::Connection& reader, model::Id id) -> base::Result<std::string> {
    auto compared = compare_sessions(reader, flows_, other, id);
    if (!compared) return compared.error();
    return base::to_text(comparison_json(*compared));
  });
}

TEST_P(OneMoment, AnExport) {
  expect_one_moment(
      [&](db::Connection& reader, model::Id id) { return export_session(reader, id, "json"); });
}

INSTANTIATE_TEST_SUITE_P(, OneMoment, schema::kBothEngines, schema::engine_of);

}  // namespace
}  // namespace tertulia::service
