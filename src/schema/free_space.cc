#include "schema/free_space.h"

#include <fmt/format.h>

#include "base/failpoint.h"
#include "db/value.h"

namespace tertulia::schema {
namespace {

namespace fs = std::filesystem;

std::string megabytes(std::int64_t bytes) {
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

}  // namespace

base::Result<void> require_free(const fs::path& folder, std::int64_t bytes) {
  std::error_code failed;
  const auto space = fs::space(folder.empty() ? fs::path(".") : folder, failed);
  // What cannot be told is found out by writing.
  auto free = failed ? bytes : static_cast<std::int64_t>(space.available);
  if (!base::failpoint("disk.free")) free = 0;
  if (free >= bytes) return {};
  return base::Error{
      .code = base::Code::storage_full,
      .message = fmt::format("the disk of {} has {} free, and {} may be needed; "
                             "nothing was changed",
                             fs::absolute(folder).string(), megabytes(free), megabytes(bytes)),
      .remedy = "make room on it"};
}

base::Result<void> room_to_move(db::Connection& connection, int times) {
  if (connection.engine() != db::Engine::sqlite) return {};
  auto file =
      db::read_text(connection, "SELECT file FROM pragma_database_list WHERE name = 'main'");
  if (!file) return file.error();
  if (file->empty()) return {};
  auto bytes = db::read_integer(connection,
                                "SELECT page_count * page_size FROM pragma_page_count, "
                                "pragma_page_size");
  if (!bytes) return bytes.error();
  return require_free(fs::path(*file).parent_path(), *bytes * times);
}

}  // namespace tertulia::schema
