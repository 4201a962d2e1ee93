#include "service/session_removal.h"

namespace tertulia::service {

base::Result<Removal> remove_sessions(engine::Engine& engine, db::Connection& reader,
                                      const store::SessionFilter& filter,
                                      const std::function<void(std::int64_t deleted)>& progress) {
  Removal removal;
  auto done = store::each_session(reader, filter,
                                  [&](const store::SessionSummary& session) -> base::Result<void> {
                                    auto removed = engine.remove(session.id);
                                    if (!removed && removed.error().code == base::Code::conflict) {
                                      removal.in_flight.push_back(session.id);
                                      return {};
                                    }
                                    // Deleted by somebody else meanwhile: gone is gone.
                                    if (!removed && removed.error().code != base::Code::not_found)
                                      return removed.error();
                                    if (removed) ++removal.deleted;
                                    if (progress) progress(removal.deleted);
                                    return {};
                                  });
  if (!done) return done.error();
  return removal;
}

base::json::object removal_json(const Removal& removal) {
  base::json::object out;
  out["deleted"] = removal.deleted;
  base::json::array left_out;
  for (const model::Id id : removal.in_flight) left_out.emplace_back(id);
  out["in_flight"] = std::move(left_out);
  return out;
}

}  // namespace tertulia::service
