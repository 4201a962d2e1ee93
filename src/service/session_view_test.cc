// Views of sessions: pages and their ends, what is not there, whom a session waits for.
#include "service/session_view.h"

#include <limits>

#include "service/session_selection.h"
#include "service/test_sessions.h"
#include "support/flows.h"

namespace tertulia::service {
namespace {

constexpr auto kAll = std::numeric_limits<std::int64_t>::max();

class SessionView : public test::OnBothEngines {
 protected:
  // The values of a member in the pages that follow each other, a list for each page.
  static std::vector<std::vector<std::int64_t>> walk(
      const std::string& member, std::int64_t first,
      const std::function<base::Result<JsonPage>(std::int64_t)>& page_after) {
    std::vector<std::vector<std::int64_t>> pages;
    for (std::optional<std::int64_t> cursor = first; cursor && pages.size() < 20;) {
      auto page = page_after(*cursor);
      EXPECT_TRUE(page) << page.error().message;
      auto& values = pages.emplace_back();
      for (const auto& item : page->items)
        values.push_back(item.at(member).to_number<std::int64_t>());
      cursor = page->next;
    }
    return pages;
  }
  using Pages = std::vector<std::vector<std::int64_t>>;
};

TEST_P(SessionView, PagesOfMessagesEndWhereTheyEnd) {
  const auto id = perform(test::kTalk);
  const auto pages = [&](std::int64_t limit) {
    return walk("position", 0, [&](std::int64_t after) {
      return list_messages_json(reader(), flows_, id, after, limit);
    });
  };
  EXPECT_EQ(pages(1), (Pages{{1}, {2}, {3}}));
  EXPECT_EQ(pages(2), (Pages{{1, 2}, {3}}));
  EXPECT_EQ(pages(3), (Pages{{1, 2, 3}}));
  EXPECT_EQ(pages(4), (Pages{{1, 2, 3}}));
  EXPECT_EQ(pages(kAll), (Pages{{1, 2, 3}}));
  auto behind = list_messages_json(reader(), flows_, id, 3, 10);
  ASSERT_TRUE(behind);
  EXPECT_TRUE(behind->items.empty());
  EXPECT_FALSE(behind->next);
}

TEST_P(SessionView, PagesOfTheLogAreBriefOrFull) {
  const auto id = perform(test::kTalk);
  EXPECT_EQ(
      walk("execution_order", 0,
           [&](std::int64_t after) { return list_log_json(reader(), flows_, id, after, 2, {}); }),
      (Pages{{1, 2}, {3}}));
  auto brief = list_log_json(reader(), flows_, id, 0, 1, {});
  auto full = list_log_json(reader(), flows_, id, 0, 1, {.snapshots = true});
  ASSERT_TRUE(brief);
  ASSERT_TRUE(full);
  const auto& row = full->items.at(0).as_object();
  EXPECT_TRUE(row.at("step_snapshot").is_object());
  EXPECT_TRUE(row.at("context_snapshot").is_object());
  EXPECT_TRUE(row.at("result_data").is_object());
  EXPECT_EQ(row.size(), 21U);
  const auto& short_row = brief->items.at(0).as_object();
  EXPECT_EQ(short_row.size(), 19U);
  EXPECT_FALSE(short_row.contains("step_snapshot"));
  EXPECT_FALSE(short_row.contains("context_snapshot"));
}

TEST_P(SessionView, ARowHasItsOwnCallsOnly) {
  const auto id = perform(test::kTalk);
  auto row = log_row_with_calls_json(reader(), id, 2);
  ASSERT_TRUE(row) << row.error().message;
  const auto& calls = row->at("model_calls").as_array();
  ASSERT_EQ(calls.size(), 1U);
  EXPECT_EQ(calls[0].at("execution_order"), 2);
  EXPECT_ERROR(log_row_with_calls_json(reader(), id, 9), not_found, "9");
}

TEST_P(SessionView, PagesOfSessionsAreNewestFirst) {
  for (int i = 0; i < 3; ++i) make(test::kTalk);
  const auto pages = [&](std::int64_t limit) {
    return walk("id", kAll, [&](std::int64_t below) {
      return list_sessions_json(reader(), {.below = below, .limit = limit});
    });
  };
  EXPECT_EQ(pages(2), (Pages{{3, 2}, {1}}));
  EXPECT_EQ(pages(3), (Pages{{3, 2, 1}}));
  auto none = list_sessions_json(reader(), {.below = 1});
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->items.empty());
  EXPECT_FALSE(none->next);
}

TEST_P(SessionView, WhatIsNotThereIsNotFound) {
  EXPECT_ERROR(session_json(reader(), flows_, 7), not_found, "no session 7");
  EXPECT_ERROR(list_messages_json(reader(), flows_, 7, 0, 10), not_found, "no session 7");
  EXPECT_ERROR(list_log_json(reader(), flows_, 7, 0, 10, {}), not_found, "no session 7");
  EXPECT_ERROR(log_row_with_calls_json(reader(), 7, 1), not_found, "no session 7");
  EXPECT_ERROR(list_documents_json(reader(), 7), not_found, "no session 7");
  EXPECT_ERROR(list_waiting_json(reader(), flows_, 7), not_found, "no session 7");
  EXPECT_ERROR(document_json(reader(), flows_, 7, "text", 0), not_found, "no session 7");
}

TEST_P(SessionView, DocumentsAndTheirVersions) {
  const auto id = perform(tertulia::test::kLoopingFlow);
  auto listed = list_documents_json(reader(), id);
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 1U);
  const auto& text = listed->at(0).as_object();
  EXPECT_EQ(text.at("name"), "text");
  const std::int64_t versions = text.at("versions").as_int64();
  EXPECT_GT(versions, 1);
  EXPECT_TRUE(base::parse_iso8601(text.at("updated_at").as_string()));
  auto latest = load_document(reader(), id, "text", 0);
  ASSERT_TRUE(latest);
  EXPECT_EQ(latest->number, versions);
  EXPECT_TRUE(latest->before);
  auto first = load_document(reader(), id, "text", 1);
  ASSERT_TRUE(first);
  EXPECT_FALSE(first->before);
  EXPECT_ERROR(load_document(reader(), id, "text", versions + 1), not_found, "has versions 1 to");
  EXPECT_ERROR(load_document(reader(), id, "text", -1), not_found, "has versions 1 to");
  EXPECT_ERROR(load_document(reader(), id, "txt", 0), not_found, "no document 'txt'");
}

TEST_P(SessionView, WhomItWaitsFor) {
  const auto id = perform(R"(tertulia: 1
name: asking
topic: Tea
roles: { a: { name: Ann, prompt: p }, me: { name: Me, prompt: q } }
steps:
  - { speak: a }
  - { ask: me, prompt: "Milk?", choices: [ "yes", "no" ] }
)");
  auto waiting = list_waiting_json(reader(), flows_, id);
  ASSERT_TRUE(waiting) << waiting.error().message;
  ASSERT_EQ(waiting->size(), 1U);
  const auto& one = waiting->at(0).as_object();
  EXPECT_EQ(one.at("role"), "me");
  EXPECT_EQ(one.at("name"), "Me");
  EXPECT_EQ(one.at("question"), "Milk?");
  EXPECT_EQ(base::to_text(one.at("choices")), R"(["yes","no"])");
  EXPECT_FALSE(one.contains("until"));
  auto shown = session_json(reader(), flows_, id);
  ASSERT_TRUE(shown);
  EXPECT_EQ(shown->at("waits_for"), "me");
  EXPECT_EQ(shown->at("waiting"), base::json::value(*waiting));

  const auto other = perform(test::kTalk);
  auto nobody = list_waiting_json(reader(), flows_, other);
  ASSERT_TRUE(nobody);
  EXPECT_TRUE(nobody->empty());
}

TEST_P(SessionView, SearchGoesOnBelowACursor) {
  rehearse("second: 100% of the 茶 is gone\na: is it?\n");
  for (int i = 0; i < 3; ++i) perform(test::kTalk);
  std::vector<std::int64_t> sessions;
  std::optional<model::Id> below;
  for (int page = 0; page < 5; ++page) {
    auto found = search_messages_json(reader(), "100% of the 茶", below, 2);
    ASSERT_TRUE(found) << found.error().message;
    for (const auto& item : found->items) sessions.push_back(item.at("session_id").as_int64());
    below = found->next;
    if (!below) break;
  }
  EXPECT_EQ(sessions, (std::vector<std::int64_t>{3, 2, 1}));
  auto none = search_messages_json(reader(), "1_0%", {}, 2);
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->items.empty());
}

TEST_P(SessionView, ASearchLooksAtSoManyMessagesAPage) {
  rehearse("second: only here, a giraffe\n");
  perform(test::kTalk);
  rehearse("second: nothing of the kind\n");
  perform(test::kTalk);
  // Three messages each, the newer session's are looked at first; the older one's second says it,
  // and its third quotes that.
  const auto pages = [&](std::int64_t most) {
    return walk("session_id", kAll, [&](std::int64_t below) {
      return search_messages_json(reader(), "giraffe", below, 2, most);
    });
  };
  EXPECT_EQ(pages(2), (Pages{{}, {1}, {1}}));
  EXPECT_EQ(pages(3), (Pages{{}, {1, 1}}));
  EXPECT_EQ(pages(4), (Pages{{1}, {1}}));
  EXPECT_EQ(pages(6), (Pages{{1, 1}}));
}

TEST_P(SessionView, AListLooksAtSoManySessionsAPage) {
  const auto make_about = [&](const char* topic) {
    SessionWishes wishes;
    wishes.topic = topic;
    return make(test::kTalk, wishes);
  };
  for (const char* topic : {"Milk", "Tea", "Milk", "Tea", "Tea"}) make_about(topic);
  ASSERT_TRUE(engine_->remove(4));
  const auto pages = [&](store::SessionPage page, std::int64_t most) {
    return walk("id", kAll, [&](std::int64_t below) {
      page.below = below;
      return list_sessions_json(reader(), page, most);
    });
  };
  const store::SessionPage milk{.limit = 2, .topic = "milk"};
  EXPECT_EQ(pages(milk, kAll), (Pages{{3, 1}}));
  EXPECT_EQ(pages(milk, 1), (Pages{{}, {3}, {}, {1}}));
  EXPECT_EQ(pages(milk, 2), (Pages{{}, {3}, {1}}));
  EXPECT_EQ(pages(milk, 3), (Pages{{3}, {1}}));
  EXPECT_EQ(pages({.limit = 2, .topic = "coffee"}, 3), (Pages{{}, {}}));
  EXPECT_EQ(pages({.limit = 1, .topic = "milk"}, 3), (Pages{{3}, {1}}));
  // What an index knows is not bounded.
  EXPECT_EQ(pages({.limit = 9}, 1), (Pages{{5, 3, 2, 1}}));
  EXPECT_EQ(pages({.filter = {.flow = "talk"}, .limit = 9}, 1), (Pages{{5, 3, 2, 1}}));
  EXPECT_EQ(pages({.filter = {.statuses = {model::SessionStatus::not_started}}, .limit = 9}, 1),
            (Pages{{5, 3, 2, 1}}));
}

TEST_P(SessionView, AListOfATimeBeginsAndEndsWhereItsSessionsAre) {
  for (int i = 0; i < 6; ++i) make(test::kTalk);
  const auto at = [](int day) { return base::Timestamp(std::chrono::hours(24 * (20'000 + day))); };
  // Not in the order of their ids: such are imported.
  for (const auto& [id, day] : {std::pair(1, 1), {2, 2}, {3, 1}, {4, 3}, {5, 5}, {6, 2}}) {
    const std::string time = base::to_iso8601(at(day));
    auto done = write<void>([&, id = id](db::Connection& connection) -> base::Result<void> {
      auto set =
          connection.each_text("UPDATE sessions SET created_at = $2 WHERE id = $1",
                               std::vector<db::Param>{std::int64_t{id}, std::string_view(time)},
                               [](const db::Row&) -> base::Result<void> { return {}; });
      if (!set) return set.error();
      return {};
    });
    ASSERT_TRUE(done) << done.error().message;
  }
  const auto pages = [&](std::optional<base::Timestamp> from, std::optional<base::Timestamp> before,
                         std::int64_t most) {
    return walk("id", kAll, [&](std::int64_t below) {
      return list_sessions_json(
          reader(), {.below = below, .limit = 10, .created_from = from, .created_before = before},
          most);
    });
  };
  EXPECT_EQ(pages(at(1), at(2), 2), (Pages{{3}, {1}}));  // 6 to 4 are not looked at
  EXPECT_EQ(pages(at(3), {}, 2), (Pages{{5, 4}}));       // neither are 3 to 1
  EXPECT_EQ(pages({}, at(3), kAll), (Pages{{6, 3, 2, 1}}));
  EXPECT_EQ(pages({}, at(1), 1), (Pages{{}}));
  EXPECT_EQ(pages(at(6), {}, 1), (Pages{{}}));
}

TEST_P(SessionView, SelectionsInWords) {
  make(test::kTalk);
  const base::Timestamp now = base::Clock::system().now();
  EXPECT_ERROR(to_filter(reader(), {.statuses = {"done"}}, now), invalid, "'done'");
  EXPECT_ERROR(to_filter(reader(), {.ids = {1, 5}}, now), not_found, "no session 5");
  for (const char* age : {"", "d", "90", "-1d", "9e9d", "90dd", "99999999999w", "1 d"})
    EXPECT_ERROR(parse_age(age), invalid, "is no age");
  auto filter = to_filter(reader(), {.ids = {1}, .statuses = {"not_started"}, .older_than = "0s"},
                          now + std::chrono::hours(1));
  ASSERT_TRUE(filter) << filter.error().message;
  auto count = store::count_sessions(reader(), *filter);
  ASSERT_TRUE(count);
  EXPECT_EQ(*count, 1);
}

INSTANTIATE_TEST_SUITE_P(, SessionView, schema::kBothEngines, schema::engine_of);

}  // namespace
}  // namespace tertulia::service
