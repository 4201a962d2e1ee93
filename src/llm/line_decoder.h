// LineDecoder cuts a stream of bytes into lines that end in LF: newline-delimited JSON. However the
// bytes are cut into pieces, the lines are the same; empty ones are left out. Bounded as SseDecoder
// is. One thread at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tertulia::llm {

class LineDecoder final {
 public:
  static constexpr std::size_t kDefaultLimit = 16 * 1024 * 1024;
  using Sink = std::function<void(std::string_view line)>;  // lives only while the sink runs

  explicit LineDecoder(std::size_t limit = kDefaultLimit) : limit_(limit) {}

  // An error (code invalid) names the limit that the stream broke; nothing more may be fed then.
  [[nodiscard]] base::Result<void> feed(std::string_view bytes, const Sink& sink);
  // The stream is over: hands on a last line without an end.
  void finish(const Sink& sink);

 private:
  std::size_t limit_;
  std::string line_;  // the line so far, when it began in an earlier piece
};

}  // namespace tertulia::llm
