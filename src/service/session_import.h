// Putting an exported session (session_archive.h) into a database.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "db/connection.h"
#include "engine/casting.h"
#include "engine/request.h"

namespace tertulia::service {

// The longest text of which an archive is read.
inline constexpr std::size_t kMostArchiveBytes = std::size_t{256} << 20;

struct ImportedSession {
  model::Id session = 0;
  model::Id from = 0;  // its id where it was exported
  std::string flow;
  std::int64_t flow_version = 0;
  bool flow_is_new = false;
  std::int64_t rows = 0;
  std::int64_t messages = 0;
  std::vector<std::string> without_key;  // profiles
};

// In a transaction of its own: all of it, or nothing. What the archive says happened is performed
// again before it counts. Invalid where the text is no archive, was changed since it was exported,
// or its log does not explain it. A profile in it gets this machine's key only where `profiles`
// has it with the same key, URL and provider.
[[nodiscard]] base::Result<ImportedSession> import_session(db::Connection& writer,
                                                           std::string_view text,
                                                           const engine::ProviderSource& providers,
                                                           const engine::ProfileSource& profiles);

[[nodiscard]] base::json::object imported_json(const ImportedSession& imported);
// And back; members that are not there stay as they begin.
[[nodiscard]] ImportedSession imported_from_json(const base::json::value& value);

}  // namespace tertulia::service
