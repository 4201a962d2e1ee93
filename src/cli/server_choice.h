// Which server commands work through, if any, and with which token.
//
// Of --server, TERTULIA_SERVER and the configuration's `remote: {url}` the first counts; a database
// that is named nearer (by --db against TERTULIA_SERVER, say) goes before. The token comes from
// --token-file, else TERTULIA_TOKEN, else from where the configuration says, and goes to the server
// that it was given for: the configuration's to its own URL, TERTULIA_TOKEN to TERTULIA_SERVER
// where that is set.
#pragma once

#include <optional>
#include <string>

#include "cli/config.h"
#include "remote/server_address.h"

namespace tertulia::cli {

struct ServerFlags {
  std::string token_file;
  std::string ca_file;
  bool allows_plain_http = false;
};

// Nothing where commands work on the database.
[[nodiscard]] base::Result<std::optional<remote::ServerAddress>> choose_server(
    const Config& config, const ServerFlags& flags);

// What works on a database alone was asked of a server.
[[nodiscard]] base::Error not_through_server(const std::string& what);

}  // namespace tertulia::cli
