// One session of an adopted database on its way: see sessions.h. Internal to the room.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "adopt/sessions.h"
#include "adopt/walk.h"
#include "engine/session_data.h"

namespace tertulia::adopt {

class AdoptedSession final {
 public:
  AdoptedSession(db::Connection& connection, const std::vector<model::Role>& roles,
                 const SessionSettings& settings)
      : connection_(connection), roles_(roles), settings_(settings) {}

  [[nodiscard]] base::Result<void> adopt(Flows& flows, model::Id id, SessionCounts& counts);

 private:
  [[nodiscard]] base::Result<void> tell_of_lost_step();
  // Binds every role of the flow to a row of the cast; makes the rows that lack.
  [[nodiscard]] base::Result<void> bind_cast();
  [[nodiscard]] base::Result<void> bind_role(const flow::RoleDeclaration& declared);
  // The speakers by reference; one of another session is taken for this session's of that name.
  [[nodiscard]] base::Result<void> find_speakers();
  // What is in force from now on; `rows` of the log stand under the older system's.
  [[nodiscard]] base::Result<void> freeze(std::size_t rows);
  [[nodiscard]] base::Result<void> write_log(const WalkResult& walk);
  [[nodiscard]] base::Result<void> write_row(const LogRow& row);
  [[nodiscard]] base::Result<void> close_last_row(WalkResult& walk);
  // The machine's state by replay of the log that was written. Conflict where they disagree.
  [[nodiscard]] base::Result<flow::State> rebuild_state();
  [[nodiscard]] base::Result<void> keep_for_reading(std::string why);
  [[nodiscard]] base::Result<void> store(const flow::State& state);

  [[nodiscard]] base::Result<void> tell(std::string_view kind, std::string_view table,
                                        model::Id row, std::string_view column, std::string words);
  [[nodiscard]] base::Result<void> keep(std::string_view column,
                                        const std::optional<std::string>& value);

  db::Connection& connection_;
  const std::vector<model::Role>& roles_;
  const SessionSettings& settings_;

  model::Session session_;
  const AdoptedFlow* flow_ = nullptr;
  flow::Program program_;  // the flow's; of one for reading only, with the session's own roles
  std::vector<model::SessionRole> cast_;
  std::vector<model::Message> messages_;
  std::vector<Heard> heard_;
  std::vector<model::StepExecutionLog> log_;
  engine::FlowSnapshot snapshot_;
  std::string roles_snapshot_;
  flow::State wanted_;  // status, reason and words of the state that the session is to have
  std::int64_t rows_made_ = 0;
};

}  // namespace tertulia::adopt
