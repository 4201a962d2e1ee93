// SessionData is all of a session that does not change while it is performed: its flow version as a
// Program, its cast, its topic, and the ids by which rows refer to them. Read once when a session
// is opened; programs are shared between the sessions of a version.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "db/connection.h"
#include "flow/cast.h"
#include "flow/machine.h"
#include "flow/program.h"
#include "flow/prompt.h"
#include "flow/replay.h"
#include "model/rows.h"

namespace tertulia::engine {

using model::Id;

// A flow version in the form in which sessions of it are performed.
struct PerformableFlow {
  Id version_id = 0;
  flow::Program program;
  std::vector<Id> step_ids;                 // flow_steps.id by instruction
  std::vector<std::string> step_snapshots;  // JSON by instruction, ready for log rows
};

// Flow versions, loaded once for all who use them at the same time; those used last are kept, so
// that reading one session after the other does not load their flow anew for each. Safe from any
// thread.
class FlowCache final {
 public:
  static constexpr std::size_t kKept = 32;

  [[nodiscard]] base::Result<std::shared_ptr<const PerformableFlow>> load(
      db::Connection& connection, Id version, const base::json::object& header);

 private:
  using Flow = std::shared_ptr<const PerformableFlow>;
  void keep(const Flow& flow);  // with the lock held

  std::mutex mutex_;
  std::map<Id, std::weak_ptr<const PerformableFlow>> flows_;
  std::vector<Flow> kept_;  // the one used last is the last
};

// A session's flow_snapshot: what was in force when it was made.
struct FlowSnapshot {
  std::string flow;  // name
  std::int64_t version = 0;
  std::string source_sha256;
  base::json::object header;                                        // flow::Program::header_json
  std::map<std::string, base::json::value, std::less<>> variables;  // as the session starts
  flow::Limits limits;
  std::map<std::string, base::json::object, std::less<>> models;  // of steps that name a profile
  // What stood in an adopted session when it was adopted: see flow::ReplayInput.
  std::int64_t adopted_rows = 0;
  std::int64_t adopted_messages = 0;
  // Of a branch (branch.h): the session and the step that it began from.
  struct BranchedFrom {
    Id session = 0;
    std::int64_t order = 0;
  };
  std::optional<BranchedFrom> branched_from;
  // Rows up to this order were asked of models with another topic or cast than the session's own.
  std::int64_t inherited_rows = 0;
  // Rehearsal spoke in what was inherited.
  bool inherited_rehearsal = false;
  // Of a branch that goes on under another version of its flow: the versions before, oldest first.
  struct EarlierVersion {
    std::int64_t version = 0;
    std::string source_sha256;
    base::json::object header;
    std::int64_t until = 0;  // the row that was opened under it and closed under the next
    std::int64_t rows = 0;   // the rows up to this order were opened under it
  };
  std::vector<EarlierVersion> earlier;
  std::set<std::string, std::less<>> played;  // roles that a person plays

  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] static base::Result<FlowSnapshot> from_text(std::string_view text);
};

struct SessionData {
  Id id = 0;
  std::string topic;
  std::uint64_t seed = 0;
  std::string flow_name;
  std::int64_t flow_version = 0;
  std::shared_ptr<const PerformableFlow> flow;
  FlowSnapshot snapshot;
  flow::Cast cast;
  std::map<std::string, Id, std::less<>> role_ids;  // role reference -> session_roles.id
  std::map<Id, std::string> role_refs;              // and back
  // The flows of snapshot.earlier.
  std::vector<std::shared_ptr<const PerformableFlow>> earlier;

  [[nodiscard]] const flow::Program& program() const { return flow->program; }
  // The version under which a row was opened, and the row's step in it; null where it has none.
  [[nodiscard]] const PerformableFlow& flow_of_row(std::int64_t order) const;
  [[nodiscard]] const flow::Instruction* step_of(const model::StepExecutionLog& row) const;
  // Is or was any of it spoken by rehearsal?
  [[nodiscard]] bool is_rehearsed() const;
};
[[nodiscard]] base::Result<SessionData> load_session_data(db::Connection& connection,
                                                          FlowCache& flows, Id session);

// All that replay needs to perform the session again. `messages` by position, then those that have
// none yet. Borrows the programs of the session.
[[nodiscard]] flow::ReplayInput replay_input(const SessionData& session, flow::State stored,
                                             std::vector<model::StepExecutionLog> log,
                                             const std::vector<model::Message>& messages);

// The messages of a session as contexts see them.
[[nodiscard]] flow::Said to_said(const model::Message& message, const SessionData& session);

}  // namespace tertulia::engine
