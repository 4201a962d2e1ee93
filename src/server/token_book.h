// TokenBook knows the tokens of the database, so that each request need not ask it: read again
// every second by who keeps it, and at once when this server makes or revokes one. A token that was
// revoked by another program is refused a second later at most.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "db/connection.h"
#include "model/rows.h"
#include "server/http.h"

namespace tertulia::server {

inline constexpr std::string_view kTokenPrefix = "tt_";

// A new token: "tt_" and 43 letters of base64url, 256 bits from the operating system.
[[nodiscard]] std::string make_token();
// The text with everything in it that looks like a token cut to its first letters: for answers and
// logs that repeat what a request had.
[[nodiscard]] std::string hide_tokens(std::string_view text);
// Whether a name is a scope's; nothing else is one.
[[nodiscard]] base::Result<Scope> parse_scope(std::string_view name);

class TokenBook final {
 public:
  // `fixed` is a token of the environment (scope admin), or empty.
  TokenBook(const base::Clock& clock, std::string_view fixed);

  // Reads the database's tokens. What was known stays where that fails.
  [[nodiscard]] base::Result<void> read(db::Connection& reader);

  // Denied says why: unknown, expired, revoked. Any thread.
  [[nodiscard]] base::Result<Caller> find(std::string_view token) const;
  // Is there any that is good now?
  [[nodiscard]] bool has_any() const;

 private:
  const base::Clock& clock_;
  const std::string fixed_sha256_;
  mutable std::mutex mutex_;
  std::map<std::string, model::ApiToken, std::less<>> by_sha256_;
};

}  // namespace tertulia::server
