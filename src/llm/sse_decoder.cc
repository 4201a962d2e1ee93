#include "llm/sse_decoder.h"

#include <fmt/format.h>

#include <algorithm>

namespace tertulia::llm {
namespace {

// Where the first line ends. Two searches, because each is one memchr, where find_first_of is a
// loop over bytes.
std::size_t line_end(std::string_view bytes) {
  const std::size_t lf = bytes.find('\n');
  return std::min(lf, bytes.substr(0, lf).find('\r'));
}

}  // namespace

base::Error SseDecoder::too_long() const {
  return {.code = base::Code::invalid,
          .message = fmt::format("a line or event of the stream is longer than {} bytes", limit_)};
}

base::Result<void> SseDecoder::feed(std::string_view bytes, const Sink& sink) {
  while (!bytes.empty()) {
    if (after_cr_) {
      after_cr_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const std::size_t end = line_end(bytes);
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + part.size() > limit_) return too_long();
    if (end == std::string_view::npos) {
      line_.append(part);
      return {};
    }
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    // Nothing but line ends: what a compressed bomb would be made of.
    if (end == 0 && line_.empty() && !has_data_ && type_.empty() && !at_start_) {
      bytes.remove_prefix(std::min(bytes.find_first_not_of('\n'), bytes.size()));
      continue;
    }
    if (line_.empty()) {
      if (auto taken = take_line(part, sink); !taken) return taken;
    } else {
      line_.append(part);
      auto taken = take_line(line_, sink);
      line_.clear();
      if (!taken) return taken;
    }
  }
  return {};
}

base::Result<void> SseDecoder::finish(const Sink& sink) {
  if (!line_.empty()) {
    auto taken = take_line(line_, sink);
    line_.clear();
    if (!taken) return taken;
  }
  dispatch(sink);
  return {};
}

base::Result<void> SseDecoder::take_line(std::string_view line, const Sink& sink) {
  if (at_start_) {
    at_start_ = false;
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  }
  if (line.empty()) {
    dispatch(sink);
    return {};
  }
  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value;
  if (colon != std::string_view::npos) value = line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  // A comment has the empty field name; id and retry serve reconnecting, which no model offers.
  if (field == "data") {
    if (data_.size() + value.size() + 1 > limit_) return too_long();
    if (has_data_) data_ += '\n';
    data_ += value;
    has_data_ = true;
  } else if (field == "event") {
    type_ = value;
  }
  return {};
}

void SseDecoder::dispatch(const Sink& sink) {
  if (!has_data_) {
    type_.clear();
    return;
  }
  sink({.type = type_.empty() ? "message" : std::string_view(type_), .data = data_});
  has_data_ = false;
  data_.clear();
  type_.clear();
}

}  // namespace tertulia::llm
