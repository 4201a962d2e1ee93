// EngineFixture performs sessions of a flow on a migrated SQLite file, with rehearsal speaking.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/casting.h"
#include "engine/engine.h"
#include "flow/check.h"
#include "llm/transport.h"
#include "schema/test_database.h"
#include "store/flows.h"

namespace tertulia::engine::test {

template <class T>
T must(base::Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return *std::move(result);
}

class EngineFixture final {
 public:
  // `model` is as --model takes it: "rehearsal", "rehearsal?fail=0.2".
  explicit EngineFixture(const std::string& model = "rehearsal")
      : profile_(must(llm::parse_model_spec(model))),
        provider_(must(llm::make_provider(profile_, transport_))) {
    database_.migrate_to(database_.head());
    database_.close();
  }

  [[nodiscard]] const db::Location& location() const { return database_.location(); }
  // The one that speaks, whatever profile is asked for.
  [[nodiscard]] ProviderSource providers() const {
    return [provider = provider_](
               const base::json::object&) -> base::Result<std::shared_ptr<llm::Provider>> {
      return provider;
    };
  }

  [[nodiscard]] std::unique_ptr<Engine> start(Observer* observer) {
    return must(
        Engine::start({.location = location(), .providers = providers(), .observer = observer}));
  }

  [[nodiscard]] model::Id make_session(Engine& engine, const std::string& flow,
                                       std::int64_t seed = 1) const {
    const auto checked = flow::check_flow(flow);
    if (!checked.ok()) throw std::runtime_error(checked.problems.front().message);
    store::NewFlowVersion version;
    version.name = checked.program->name;
    version.title = "Observed";
    version.origin = "tertulia";
    version.source_format = "yaml";
    version.source = flow;
    version.steps = checked.program->to_rows();
    version.now = base::Clock::system().now();
    model::Id id = 0;
    engine.writer().run([&](db::Connection& connection) {
      const auto saved = must(store::save_flow(connection, version));
      CastingCall call;
      call.program = &*checked.program;
      call.flow_template_id = saved.version.flow_template_id;
      call.version = &saved.version;
      call.profile = "main";
      call.now = version.now;
      call.seed = seed;
      auto named = profile_;
      named.name = "main";
      id = must(store::create_session(
          connection,
          must(cast(
              call, [&](const std::string&) { return base::Result<llm::ModelProfile>(named); },
              [](const std::string&) {
                return base::Result<std::optional<model::Role>>(std::nullopt);
              }))));
    });
    return id;
  }

  // The rows of a query, columns joined by '|', by a connection of its own.
  [[nodiscard]] std::vector<std::string> rows(const std::string& query) const {
    auto reader = must(db::open(location(), {.access = db::Access::read}));
    std::vector<std::string> all;
    const auto done = reader->each_text(query, {}, [&](const db::Row& row) -> base::Result<void> {
      std::string text;
      for (int i = 0; i < row.size(); ++i) text += (i > 0 ? "|" : "") + std::string(row.text(i));
      all.push_back(std::move(text));
      return {};
    });
    if (!done) throw std::runtime_error(done.error().message);
    return all;
  }

 private:
  schema::TestDatabase database_{db::Engine::sqlite};
  llm::Transport transport_;
  llm::ModelProfile profile_;
  std::shared_ptr<llm::Provider> provider_;
};

}  // namespace tertulia::engine::test
