// BatchSessions keeps the sessions of one batch in a database: made and tied to their inputs in one
// transaction, and given lines once they are finished, so that whatever instant a process dies at,
// the next one finds what is done, what is under way and what is to come.
//
// Borrows all it is made of. `reader` is used by the calling thread only; the writer takes what is
// written into its groups.
#pragma once

#include <string>
#include <vector>

#include "engine/batch_casting.h"
#include "engine/batch_place.h"
#include "engine/session_data.h"
#include "engine/writer.h"

namespace tertulia::engine {

class BatchSessions final {
 public:
  BatchSessions(Writer& writer, db::Connection& reader, FlowCache& flows, Id batch)
      : writer_(writer), reader_(reader), flows_(flows), batch_(batch) {}

  // The batch of these inputs; made if there is none yet.
  struct Found {
    Id id = 0;
    bool is_new = false;
  };
  [[nodiscard]] static base::Result<Found> find_or_make(Writer& writer, db::Connection& reader,
                                                        const BatchCasting& casting,
                                                        const std::string& inputs,
                                                        const std::string& name);

  // As BatchPlace says.
  [[nodiscard]] base::Result<BatchStanding> standing();
  [[nodiscard]] base::Result<std::vector<PlacedInput>> place(const BatchCasting& casting,
                                                             const std::vector<BatchInput>& inputs);
  [[nodiscard]] base::Result<std::int64_t> give_lines(const std::vector<Id>& finished);
  [[nodiscard]] base::Result<std::vector<ResultLine>> lines(const BatchView& view,
                                                            std::int64_t first, std::int64_t limit);

 private:
  [[nodiscard]] base::Result<std::optional<PlacedInput>> find(const BatchInput& input);

  Writer& writer_;
  db::Connection& reader_;
  FlowCache& flows_;
  const Id batch_;
};

}  // namespace tertulia::engine
