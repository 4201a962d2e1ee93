#include "server/compress.h"

#include <zlib.h>

namespace tertulia::server {

bool accepts_gzip(std::string_view accept) {
  while (!accept.empty()) {
    std::string_view one = accept.substr(0, accept.find(','));
    accept.remove_prefix(std::min(accept.size(), one.size() + 1));
    while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
    const std::string_view name = one.substr(0, one.find_first_of("; "));
    if (name != "gzip" && name != "*") continue;
    const auto quality = one.find("q=");
    if (quality == std::string_view::npos) return true;
    // "q=0", "q=0.0": not wanted.
    return one.substr(quality + 2).find_first_of("123456789") != std::string_view::npos;
  }
  return false;
}

std::string gzip(std::string_view text) {
  z_stream stream{};
  constexpr int kGzip = 15 + 16;  // the largest window, and gzip's header
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return {};
  std::string out(deflateBound(&stream, text.size()), '\0');
  // zlib takes what it does not change through a pointer that would let it.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int done = deflate(&stream, Z_FINISH);
  out.resize(done == Z_STREAM_END ? stream.total_out : 0);
  deflateEnd(&stream);
  return out;
}

}  // namespace tertulia::server
