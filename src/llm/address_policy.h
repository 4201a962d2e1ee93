// Which network addresses may be called. Link-local addresses and the metadata services of clouds
// (which hand out credentials to whoever asks) never are; loopback is called without a proxy.
#pragma once

#include <sys/socket.h>

#include <string_view>

namespace tertulia::llm {

[[nodiscard]] bool is_forbidden_address(const sockaddr& address);

// Of a host as a URL writes it, brackets included: only literal addresses can be told.
[[nodiscard]] bool is_forbidden_host(std::string_view host);
[[nodiscard]] bool is_loopback_host(std::string_view host);

}  // namespace tertulia::llm
