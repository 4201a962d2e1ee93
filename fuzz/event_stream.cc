// Server-Sent Events and lines: however the bytes are cut, what is read is the same. The first
// byte says how they are cut.
#include <vector>

#include "llm/line_decoder.h"
#include "llm/sse_decoder.h"
#include "target.h"

namespace {

// Small, so that inputs can break it.
constexpr std::size_t kLimit = 64;

template <class Decoder, class Read>
std::vector<std::string> read_in_pieces(std::string_view bytes, std::size_t piece,
                                        const Read& read) {
  std::vector<std::string> all;
  Decoder decoder(kLimit);
  for (std::size_t at = 0; at < bytes.size(); at += piece)
    if (!decoder.feed(bytes.substr(at, piece), [&](const auto& each) { read(each, all); })) {
      all.emplace_back("refused");
      return all;
    }
  static_cast<void>(decoder.finish([&](const auto& each) { read(each, all); }));
  return all;
}

}  // namespace

TERTULIA_FUZZ(event_stream) {
  using tertulia::fuzz::must_hold;
  if (input.empty()) return;
  const std::size_t piece = static_cast<unsigned char>(input.front()) % 16 + 1;
  input.remove_prefix(1);
  const auto read_event = [](const tertulia::llm::SseDecoder::Event& event, auto& all) {
    all.push_back(std::string(event.type) + "\n" + std::string(event.data));
  };
  const auto read_line = [](std::string_view line, auto& all) { all.emplace_back(line); };
  using tertulia::llm::LineDecoder;
  using tertulia::llm::SseDecoder;
  const std::size_t whole = input.size() + 1;
  must_hold(read_in_pieces<SseDecoder>(input, piece, read_event) ==
                read_in_pieces<SseDecoder>(input, whole, read_event),
            "events do not depend on how their bytes came");
  must_hold(read_in_pieces<LineDecoder>(input, piece, read_line) ==
                read_in_pieces<LineDecoder>(input, whole, read_line),
            "lines do not depend on how their bytes came");
}
