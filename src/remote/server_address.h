// Where a server is, and what is shown to it. A token goes to one server only: to the one for which
// it was given, never further (redirects are not followed), and not in the open over a network.
//
// Any thread.
#pragma once

#include <string>

#include "base/result.h"

namespace tertulia::remote {

struct ServerAddress {
  std::string url;           // as people wrote it: http(s)://HOST[:PORT][/PATH]
  std::string token = {};    // empty: none is sent
  std::string ca_file = {};  // PEM; empty: the machine's own
  // A token may go over plain http to another machine.
  bool allows_plain_http = false;
};

// The address in one form, without a slash at its end. Invalid where it is no such URL, or names a
// user, a password, a query or a fragment; denied where the token would travel unencrypted to
// another machine.
[[nodiscard]] base::Result<ServerAddress> checked(ServerAddress address);

// Does the URL name this machine, by a name that reaches no other?
[[nodiscard]] bool is_this_machine(const std::string& url);

// Do the two name the same server: scheme, host, port and path? False where one is no URL.
[[nodiscard]] bool is_same_server(const std::string& a, const std::string& b);

}  // namespace tertulia::remote
