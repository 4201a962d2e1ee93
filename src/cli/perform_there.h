// The server performs a session; this process shows it as it happens.
#pragma once

#include "cli/perform.h"
#include "remote/api_client.h"

namespace tertulia::cli {

// To its next stop; the exit code. Ctrl-C pauses it on the server. A server that goes away is
// waited for, and with it the session goes on: nothing is shown twice, or left out.
[[nodiscard]] base::Result<int> perform_there(Context& context, remote::ApiClient& client,
                                              model::Id session, const Performing& performing);

// Limits as the API takes them.
[[nodiscard]] base::json::object limits_json(const service::LimitWishes& limits);

}  // namespace tertulia::cli
