// SseDecoder turns the bytes of a Server-Sent Events stream into events, as the HTML standard says:
// lines end in LF, CR or CRLF, a leading byte order mark is skipped, comment lines are ignored,
// several data lines are joined by LF, an event ends with an empty line. However the bytes are cut
// into pieces, the events are the same. Bounded: a line, and the data of one event, may have at
// most `limit` bytes. One thread at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tertulia::llm {

class SseDecoder final {
 public:
  static constexpr std::size_t kDefaultLimit = 16 * 1024 * 1024;

  // The texts live only while the sink runs.
  struct Event {
    std::string_view type;  // "message" where the stream gives none
    std::string_view data;
  };
  using Sink = std::function<void(const Event& event)>;

  explicit SseDecoder(std::size_t limit = kDefaultLimit) : limit_(limit) {}

  // Takes the next bytes. An error (code invalid) names the limit that the stream broke; nothing
  // more may be fed after it.
  [[nodiscard]] base::Result<void> feed(std::string_view bytes, const Sink& sink);

  // The stream is over: hands on what an empty line would have ended. The standard drops it; but
  // servers are seen that leave out the last line end after their last event.
  [[nodiscard]] base::Result<void> finish(const Sink& sink);

 private:
  [[nodiscard]] base::Result<void> take_line(std::string_view line, const Sink& sink);
  void dispatch(const Sink& sink);
  [[nodiscard]] base::Error too_long() const;

  std::size_t limit_;
  std::string line_;  // the line so far, when it began in an earlier piece
  std::string type_;
  std::string data_;
  bool has_data_ = false;
  bool at_start_ = true;
  bool after_cr_ = false;  // an LF that comes next belongs to the CR before it
};

}  // namespace tertulia::llm
