// Exports hold what was said and no more; an import takes nothing that was changed.
#include "service/session_export.h"

#include "engine/explain.h"
#include "service/session_archive.h"
#include "service/session_compare.h"
#include "service/session_import.h"
#include "service/session_proof.h"
#include "service/session_stats.h"
#include "service/test_sessions.h"
#include "support/flows.h"

namespace tertulia::service {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace json = base::json;

class SessionExport : public test::OnBothEngines {
 protected:
  std::string exported(model::Id id, const std::string& format) {
    auto text = export_session(reader(), id, format);
    EXPECT_TRUE(text) << text.error().message;
    return text ? *text : std::string();
  }
  base::Result<ImportedSession> import(const std::string& text) {
    return write<ImportedSession>([&](db::Connection& writer) {
      return import_session(writer, text, providers(), profiles());
    });
  }
  std::int64_t count() {
    auto counted = store::count_sessions(reader(), {});
    EXPECT_TRUE(counted);
    return counted ? *counted : -1;
  }
  // The archive of a finished session, changed and given the digest of what it holds now: what is
  // wrong in it must be found by what it says.
  static std::string signed_again(json::object archive) {
    archive["sha256"] = "";
    auto told = read_archive(base::to_text(archive));
    // "its sha256 says , its content has HEX"
    EXPECT_FALSE(told);
    const std::string& message = told.error().message;
    const auto at = message.rfind(' ');
    if (message.find("its content has") != std::string::npos)
      archive["sha256"] = message.substr(at + 1);
    return base::to_text(archive);
  }
};

TEST_P(SessionExport, HostileWordsStayTextOnAPage) {
  rehearse(R"(a: '</div><script>alert(1)</script><img src=x onerror=alert(2)>'
second: "\u202Eevil \"><svg/onload=alert(3)> \u0007 &lt; <a href=javascript:alert(4)>"
)");
  SessionWishes wishes;
  wishes.topic = "</title><script>alert(5)</script>";
  const auto id = perform(test::kTalk, wishes);
  const std::string page = exported(id, "html");
  for (const char* never : {"<script", "<img", "<svg", "<a ", "onerror=alert(2)>", "\x07"})
    EXPECT_THAT(page, Not(HasSubstr(never)));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_THAT(page, HasSubstr("&lt;/title&gt;"));
  EXPECT_THAT(page, HasSubstr("&amp;lt;"));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
}

TEST_P(SessionExport, FormatsAreAClosedList) {
  const auto id = perform(test::kTalk);
  for (const char* name : {"", "MD", "pdf", "html "})
    EXPECT_ERROR(export_session(reader(), id, name), invalid, "there is no format");
  EXPECT_ERROR(export_session(reader(), 9, "jsonl"), not_found, "no session 9");
}

TEST_P(SessionExport, AnImportIsTheSameSession) {
  const auto id = perform(tertulia::test::kLoopingFlow);
  const std::string archive = exported(id, "jsonl");
  auto imported = import(archive);
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(imported->from, id);
  EXPECT_FALSE(imported->flow_is_new);
  EXPECT_EQ(imported_json(*imported).at("session_id"), imported->session);
  auto compared = compare_sessions(reader(), flows_, id, imported->session);
  ASSERT_TRUE(compared) << compared.error().message;
  EXPECT_TRUE(compared->same_flow);
  EXPECT_FALSE(compared->parting);
  EXPECT_TRUE(comparison_json(*compared).at("part_at").is_null());
  auto proof = engine::explain(reader(), flows_, imported->session, providers());
  ASSERT_TRUE(proof);
  EXPECT_EQ(proof_json(imported->session, *proof).at("agrees"), true);
}

TEST_P(SessionExport, AChangedArchiveIsRefusedAndNothingIsKept) {
  const auto id = perform(test::kTalk);
  const std::string text = exported(id, "json");
  auto parsed = base::parse_json(text);
  ASSERT_TRUE(parsed);
  const json::object archive = parsed->as_object();

  json::object other_words = archive;
  other_words["messages"].as_array()[1].as_object()["text"] = "I never said that";
  EXPECT_ERROR(import(base::to_text(other_words)), invalid, "it was changed since it was exported");
  // With a digest that fits, its log does not explain it.
  EXPECT_ERROR(import(signed_again(other_words)), invalid, "its log does not explain it");

  json::object without_message = archive;
  without_message["messages"].as_array().pop_back();
  EXPECT_ERROR(import(signed_again(without_message)), invalid, "");

  json::object other_state = archive;
  other_state["machine_state"] = json::object{};
  EXPECT_ERROR(import(signed_again(other_state)), invalid, "machine_state");

  EXPECT_ERROR(import(text.substr(0, text.size() / 2)), invalid, "not one whole JSON document");
  EXPECT_ERROR(import(""), invalid, "not one whole JSON document");
  EXPECT_ERROR(import("[]"), invalid, "no exported session");
  EXPECT_EQ(count(), 1);
  // The order of members and white space do not count.
  EXPECT_TRUE(import(base::to_text(archive)));
}

TEST_P(SessionExport, AKeyIsUsedOnlyWhereThisMachineSaysSo) {
  llm::ModelProfile main;
  main.name = "main";
  main.provider = "openai";
  main.model = "gpt";
  main.base_url = "http://127.0.0.1:9/v1";
  main.key.env = "SOME_KEY";
  profiles_["main"] = main;
  SessionWishes wishes;
  wishes.profile = "main";
  const auto id = make(test::kTalk, wishes);
  const std::string archive = exported(id, "json");
  auto here = import(archive);
  ASSERT_TRUE(here) << here.error().message;
  EXPECT_TRUE(here->without_key.empty());
  profiles_["main"].base_url = "http://127.0.0.1:10/v1";
  auto elsewhere = import(archive);
  ASSERT_TRUE(elsewhere) << elsewhere.error().message;
  EXPECT_EQ(elsewhere->without_key, std::vector<std::string>{"main"});
  EXPECT_THAT(exported(elsewhere->session, "jsonl"), Not(HasSubstr("SOME_KEY")));
}

TEST_P(SessionExport, ComparesWordByWord) {
  rehearse("second: tea with milk\n");
  const auto a = perform(test::kTalk);
  rehearse("second: tea with lemon\n");
  const auto b = perform(test::kTalk);
  auto found = compare_sessions(reader(), flows_, a, b);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->parting, 1U);
  const json::object out = comparison_json(*found);
  EXPECT_EQ(out.at("part_at"), 2);
  EXPECT_EQ(base::to_text(out.at("differing_words")),
            R"([{"only_first":"milk"},{"only_second":"lemon"}])");
  EXPECT_ERROR(compare_sessions(reader(), flows_, a, 99), not_found, "no session 99");
}

TEST_P(SessionExport, OneThatSaysNothingMorePartsFromTheOtherThere) {
  SessionWishes wishes;
  wishes.limits.steps = 1;
  const auto a = perform(test::kTalk, wishes);
  const auto b = perform(test::kTalk);
  auto found = compare_sessions(reader(), flows_, a, b);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->parting, 1U);
  const json::object out = comparison_json(*found);
  EXPECT_TRUE(out.at("messages").as_array()[0].is_null());
  EXPECT_TRUE(out.at("messages").as_array()[1].is_object());
  EXPECT_TRUE(out.at("differing_words").as_array().empty());
}

TEST_P(SessionExport, StatsOfNoSessionsAreZero) {
  auto none = store::load_stats(reader(), {});
  ASSERT_TRUE(none);
  const json::object out = stats_json(*none);
  EXPECT_EQ(out.at("total").at("sessions"), 0);
  for (const char* by : {"by_flow", "by_role", "by_model", "by_status"})
    EXPECT_TRUE(out.at(by).as_array().empty());
  perform(test::kTalk);
  auto one = store::load_stats(reader(), {});
  ASSERT_TRUE(one);
  EXPECT_EQ(one->total.sessions, 1);
  EXPECT_EQ(one->total.steps, 3);
  EXPECT_EQ(one->total.calls, 3);
}

INSTANTIATE_TEST_SUITE_P(, SessionExport, schema::kBothEngines, schema::engine_of);

}  // namespace
}  // namespace tertulia::service
