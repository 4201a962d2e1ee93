#include "llm/line_decoder.h"

#include <fmt/format.h>

#include <algorithm>

namespace tertulia::llm {

base::Result<void> LineDecoder::feed(std::string_view bytes, const Sink& sink) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + part.size() > limit_)
      return base::Error{
          .code = base::Code::invalid,
          .message = fmt::format("a line of the stream is longer than {} bytes", limit_)};
    if (end == std::string_view::npos) {
      line_.append(part);
      return {};
    }
    bytes.remove_prefix(end + 1);
    if (line_.empty()) {
      if (!part.empty())
        sink(part);
      else  // nothing but line ends: what a compressed bomb would be made of
        bytes.remove_prefix(std::min(bytes.find_first_not_of('\n'), bytes.size()));
      continue;
    }
    line_.append(part);
    sink(line_);
    line_.clear();
  }
  return {};
}

void LineDecoder::finish(const Sink& sink) {
  if (!line_.empty()) sink(line_);
  line_.clear();
}

}  // namespace tertulia::llm
