#include "db/connection.h"

#include <algorithm>

#include "db/postgres_connection.h"
#include "db/sqlite_connection.h"

namespace tertulia::db {
namespace {

// The password of a libpq URI stands between the first ':' of the user part and its '@'. A
// password that should have been percent-encoded may hold a '/' or a '?': rather too much is
// hidden.
std::string without_password(std::string_view uri) {
  std::string shown(uri);
  const size_t scheme = shown.find("://");
  const size_t start = scheme == std::string::npos ? 0 : scheme + 3;
  const size_t end = std::max(std::min(shown.find('/', start), shown.size()),
                              std::min(shown.find('?', start), shown.size()));
  const size_t at = shown.rfind('@', end);
  const size_t colon = shown.find(':', start);
  if (at != std::string::npos && at >= start && colon < at)
    shown.replace(colon + 1, at - colon - 1, "***");
  for (const std::string_view key : {"password=", "sslpassword=", "passfile="}) {
    for (size_t found = shown.find(key); found != std::string::npos;
         found = shown.find(key, found + 1)) {
      const size_t value = found + key.size();
      const size_t stop = std::min(shown.find('&', value), shown.size());
      shown.replace(value, stop - value, "***");
    }
  }
  return shown;
}

}  // namespace

std::string_view engine_name(Engine engine) {
  return engine == Engine::sqlite ? "SQLite" : "PostgreSQL";
}

base::Result<Location> Location::parse(std::string_view text) {
  const auto wrong = [&](std::string message) {
    return base::Error{.code = base::Code::invalid,
                       .message = std::move(message),
                       .remedy = "write sqlite:PATH, a path, or postgresql://USER@HOST/DATABASE"};
  };
  if (text.find('\0') != std::string_view::npos)
    return wrong("the database's location holds a NUL byte");
  if (text.starts_with("postgresql://") || text.starts_with("postgres://"))
    return Location{Engine::postgres, std::string(text)};
  if (const size_t scheme = text.find("://"); scheme != std::string_view::npos)
    return wrong("'" + std::string(text.substr(0, scheme)) + "' is not a kind of database");
  std::string_view path = text;
  if (path.starts_with("sqlite:")) path.remove_prefix(7);
  if (path.empty()) return wrong("the database's location is empty");
  return Location{Engine::sqlite, std::string(path)};
}

std::string Location::shown() const {
  return engine == Engine::sqlite ? target : without_password(target);
}

base::Result<std::unique_ptr<Connection>> open(const Location& location,
                                               const OpenOptions& options) {
  return location.engine == Engine::sqlite ? open_sqlite(location.target, options)
                                           : open_postgres(location, options);
}

base::Error unexpected_count(const Work& work, std::int64_t affected) {
  return {.code = base::Code::conflict,
          .message = std::string(work.sql->name) + " changed " + std::to_string(affected) +
                     " rows, not " + std::to_string(work.must_affect.value_or(0))};
}

base::Result<Transaction> Transaction::begin(Connection& connection) {
  if (auto begun = connection.begin(); !begun) return begun.error();
  return Transaction(connection);
}

Transaction::Transaction(Transaction&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)) {}

Transaction::~Transaction() {
  if (connection_ != nullptr) connection_->rollback();
}

base::Result<void> Transaction::commit() {
  auto committed = connection_->commit();
  if (committed) connection_ = nullptr;
  return committed;
}

}  // namespace tertulia::db
