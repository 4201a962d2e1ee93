// What model servers send: whatever it is, it comes to the same answer however its bytes are cut;
// text is whole UTF-8; and an answer is complete only where the server said so. The first byte
// chooses the protocol and the status, the second how the bytes are cut.
#include "base/utf8.h"
#include "llm/anthropic_wire.h"
#include "llm/ollama_wire.h"
#include "llm/openai_wire.h"
#include "llm/reply_reader.h"
#include "target.h"

namespace {

using namespace tertulia;

struct Protocol {
  llm::Framing framing;
  std::unique_ptr<llm::WireDialect> (*dialect)();
};
constexpr Protocol kProtocols[] = {
    {llm::Framing::events, llm::openai_dialect},
    {llm::Framing::events, llm::anthropic_dialect},
    {llm::Framing::lines, [] { return llm::ollama_dialect("llama"); }}};
constexpr int kStatuses[] = {200, 200, 200, 400, 429, 503};
constexpr std::string_view kTypes[] = {"text/event-stream", "application/json",
                                       "application/x-ndjson", ""};

struct Heard {
  std::string text;
  llm::Answer answer;
};

Heard read_in_pieces(unsigned choice, std::string_view bytes, std::size_t piece) {
  const Protocol& protocol = kProtocols[choice % 3];
  llm::ReplyReader reader(kStatuses[choice / 3 % 6], kTypes[choice / 18 % 4], protocol.framing,
                          protocol.dialect());
  Heard heard;
  const auto hear = [&](std::string_view text) {
    fuzz::must_hold(!base::first_invalid_utf8(text), "text comes in whole characters");
    heard.text += text;
  };
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    const auto progress = reader.feed(bytes.substr(at, piece), hear);
    if (progress == llm::ReplyReader::Progress::complete ||
        progress == llm::ReplyReader::Progress::hopeless)
      break;
  }
  heard.answer = reader.finish(choice / 72 % 2 == 0, hear);
  return heard;
}

}  // namespace

TERTULIA_FUZZ(model_reply) {
  if (input.size() < 2) return;
  const unsigned choice = static_cast<unsigned char>(input[0]);
  const std::size_t piece = static_cast<unsigned char>(input[1]) % 32 + 1;
  input.remove_prefix(2);
  const Heard whole = read_in_pieces(choice, input, input.size() + 1);
  const Heard cut = read_in_pieces(choice, input, piece);
  fuzz::must_hold(whole.answer.outcome == cut.answer.outcome, "the outcome is the same");
  fuzz::must_hold(whole.answer.text == cut.answer.text, "the text is the same");
  fuzz::must_hold(whole.answer.finish_reason == cut.answer.finish_reason, "the end is the same");
  if (whole.answer.outcome == llm::Outcome::ok)
    fuzz::must_hold(whole.text == whole.answer.text && cut.text == cut.answer.text,
                    "what was heard is what is kept");
}
