// Compression of answers (RFC 1952), by zlib.
#pragma once

#include <string>
#include <string_view>

namespace tertulia::server {

// Does an Accept-Encoding field take gzip?
[[nodiscard]] bool accepts_gzip(std::string_view accept_encoding);
// The text as gzip has it; empty where zlib has no memory.
[[nodiscard]] std::string gzip(std::string_view text);

}  // namespace tertulia::server
