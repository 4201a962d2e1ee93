// For the tests of this room: a migrated database of either engine with an engine that rehearses on
// it, so that sessions can be made and performed in one call.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "engine/engine.h"
#include "llm/profile.h"
#include "llm/transport.h"
#include "schema/test_database.h"
#include "service/new_session.h"
#include "support/flows.h"

namespace tertulia::service::test {

class OnBothEngines : public schema::OnBothEngines {
 protected:
  void SetUp() override {
    database_.migrate_to(database_.head());
    database_.close();
    auto opened = db::open(database_.location(), {.access = db::Access::read});
    ASSERT_TRUE(opened) << opened.error().message;
    reader_ = *std::move(opened);
    auto started =
        engine::Engine::start({.location = database_.location(), .providers = providers()});
    ASSERT_TRUE(started) << started.error().message;
    engine_ = *std::move(started);
  }
  void TearDown() override {
    reader_.reset();
    engine_.reset();
  }

  [[nodiscard]] db::Connection& reader() { return *reader_; }
  // What rehearsal says, by step (YAML); for sessions that are performed later.
  void rehearse(const std::string& yaml) {
    auto script = llm::RehearsalScript::parse(yaml, "script.yaml");
    ASSERT_TRUE(script) << script.error().message;
    script_ = *std::move(script);
  }
  [[nodiscard]] engine::ProviderSource providers() {
    return [this](const base::json::object& model) -> base::Result<std::shared_ptr<llm::Provider>> {
      auto profile = llm::ModelProfile::from_json(model);
      if (!profile) return profile.error();
      auto made = llm::make_provider(*profile, transport_, script_);
      if (!made) return made.error();
      return std::shared_ptr<llm::Provider>(*std::move(made));
    };
  }
  [[nodiscard]] engine::ProfileSource profiles() {
    return [this](const std::string& name) -> base::Result<llm::ModelProfile> {
      if (const auto known = profiles_.find(name); known != profiles_.end()) return known->second;
      return llm::parse_model_spec(name);
    };
  }

  template <class T>
  base::Result<T> write(const std::function<base::Result<T>(db::Connection&)>& job) {
    base::Result<T> result = base::Error{};
    engine_->writer().run([&](db::Connection& connection) { result = job(connection); });
    return result;
  }
  base::Result<model::Id> try_make(const std::string& source, SessionWishes wishes = {}) {
    if (wishes.profile.empty()) wishes.profile = "rehearsal";
    if (!wishes.seed) wishes.seed = 1;
    const FlowText text{.shown = "the flow", .source = source};
    const auto checked = check_flow_text(text, surroundings_of(reader(), {}));
    return write<model::Id>([&](db::Connection& writer) {
      return make_session(writer, text, checked, wishes, profiles(), base::Clock::system().now());
    });
  }
  model::Id make(const std::string& source, SessionWishes wishes = {}) {
    auto id = try_make(source, std::move(wishes));
    EXPECT_TRUE(id) << id.error().message;
    return id ? *id : 0;
  }
  // Makes and performs it, until it stops.
  model::Id perform(const std::string& source, SessionWishes wishes = {}) {
    const model::Id id = make(source, std::move(wishes));
    auto outcome = engine_->perform_and_wait(id, {});
    EXPECT_TRUE(outcome) << outcome.error().message;
    return id;
  }
  void store_text(const std::string& source) {
    const FlowText text{.shown = "the flow", .source = source};
    const auto checked = check_flow_text(text, surroundings_of(reader(), {}));
    auto stored = write<StoredFlow>([&](db::Connection& writer) {
      return store_flow(writer, text, checked, base::Clock::system().now());
    });
    ASSERT_TRUE(stored) << stored.error().message;
  }

  engine::FlowCache flows_;
  std::map<std::string, llm::ModelProfile> profiles_;
  llm::RehearsalScript script_;
  llm::Transport transport_;
  std::unique_ptr<db::Connection> reader_;
  std::unique_ptr<engine::Engine> engine_;
};

using tertulia::test::kTalk;

// EXPECT_ERROR of a Result: its code, and what its message holds.
#define EXPECT_ERROR(result, wanted_code, words)                   \
  do {                                                             \
    const auto& given = (result);                                  \
    ASSERT_FALSE(given);                                           \
    EXPECT_EQ(given.error().code, base::Code::wanted_code);        \
    EXPECT_THAT(given.error().message, testing::HasSubstr(words)); \
  } while (false)

}  // namespace tertulia::service::test
