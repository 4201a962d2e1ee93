// Is a database sound in full: its schema, its references, its file, and every log?
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "schema/proof.h"

namespace tertulia::cli {

struct FullVerification {
  schema::Verification database;
  std::int64_t sessions_replayed = 0;
  std::int64_t sessions_only_read = 0;   // adopted, and noted as not following their flow
  std::vector<std::string> unexplained;  // "session 3, step 4: ..."

  [[nodiscard]] bool good() const { return database.good() && unexplained.empty(); }
};

// Replays the log of every session that the connection sees.
[[nodiscard]] base::Result<void> replay_all(Context& context, db::Connection& reader,
                                            FullVerification& verification);
// Looks at everything; shows how far it is. Where the schema is not fit, logs are not replayed.
[[nodiscard]] base::Result<FullVerification> verify_in_full(Context& context,
                                                            const db::Location& location);
[[nodiscard]] base::json::object verification_json(const FullVerification& verification,
                                                   const db::Location& location);
// What is wrong, a line each, then one line that sums up.
void print_verification(const FullVerification& verification);

}  // namespace tertulia::cli
