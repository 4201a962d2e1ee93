#include "llm/anthropic_wire.h"

#include "llm/wire_json.h"

namespace tertulia::llm {
namespace {

namespace json = base::json;

std::string_view neutral_reason(std::string_view reason) {
  if (reason == "end_turn" || reason == "stop_sequence") return "stop";
  if (reason == "max_tokens" || reason == "model_context_window_exceeded") return "length";
  return reason;
}

class AnthropicDialect final : public WireDialect {
 public:
  // Objects are told apart by their own type: the event's name says the same, and proxies lose it.
  // Types that are not known are new ones, to be ignored (the wire's own rule), pings too.
  void take(const json::object& object, bool whole, AnswerDraft& draft,
            const AnswerDraft::OnText& on_text) override {
    if (whole) return take_message(object, draft, on_text);
    const std::string_view type = text_at(object, "type");
    if (type == "message_start") {
      draft.stir();
      if (const auto* const message = object_at(object, "message"))
        take_message(*message, draft, on_text);
    } else if (type == "content_block_start") {
      draft.stir();
      if (const auto* const block = object_at(object, "content_block"))
        take_block(*block, draft, on_text);
    } else if (type == "content_block_delta") {
      draft.stir();
      if (const auto* const delta = object_at(object, "delta");
          delta != nullptr && text_at(*delta, "type") == "text_delta")
        say(*delta, draft, on_text);
    } else if (type == "message_delta") {
      if (const auto* const usage = object_at(object, "usage")) count(*usage);
      if (const auto* const delta = object_at(object, "delta"))
        stop(text_at(*delta, "stop_reason"), draft);
    } else if (type == "message_stop") {
      draft.close();
    }
  }

  void end(AnswerDraft& draft) override {
    if (draft.answer().finish_reason == "refusal")
      draft.fail(Outcome::content_filter, "the model refused to answer (refusal)");
  }

  std::string_view mark_of_the_end() const override { return "stop_reason or message_stop"; }

 private:
  void take_message(const json::object& message, AnswerDraft& draft,
                    const AnswerDraft::OnText& on_text) {
    draft.name_request(text_at(message, "id"));
    draft.name_model(text_at(message, "model"));
    if (const auto* const usage = object_at(message, "usage")) count(*usage);
    if (const json::value* const content = message.if_contains("content");
        content != nullptr && content->is_array())
      for (const json::value& block : content->get_array())
        if (block.is_object()) take_block(block.get_object(), draft, on_text);
    stop(text_at(message, "stop_reason"), draft);
  }

  static void take_block(const json::object& block, AnswerDraft& draft,
                         const AnswerDraft::OnText& on_text) {
    if (text_at(block, "type") == "text") say(block, draft, on_text);
  }

  static void say(const json::object& object, AnswerDraft& draft,
                  const AnswerDraft::OnText& on_text) {
    if (const auto text = text_at(object, "text"); !text.empty()) draft.say(text, on_text);
  }

  // Counts are cumulative; message_delta may leave out those that message_start gave.
  void count(const json::object& usage) {
    const auto take = [&](std::string_view key, std::int64_t& into) {
      if (const auto given = count_at(usage, key)) {
        into = *given;
        counted_ = true;
      }
    };
    take("input_tokens", input_);
    take("output_tokens", output_);
    take("cache_creation_input_tokens", cache_written_);
    take("cache_read_input_tokens", cache_read_);
  }

  // Only the counts at the end are those of the answer: message_start's say one token of output,
  // which would be believed where the stream breaks off.
  void stop(std::string_view reason, AnswerDraft& draft) const {
    if (reason.empty()) return;
    draft.stop(neutral_reason(reason));
    if (!counted_) return;
    Usage usage;
    usage.prompt_tokens = input_ + cache_written_ + cache_read_;
    usage.completion_tokens = output_;
    usage.cached_tokens = cache_read_;
    draft.report_usage(usage);
  }

  bool counted_ = false;
  std::int64_t input_ = 0;
  std::int64_t output_ = 0;
  std::int64_t cache_written_ = 0;
  std::int64_t cache_read_ = 0;
};

}  // namespace

std::string messages_body(const Request& request) {
  const Parameters& parameters = request.parameters;
  std::string out = R"({"model":)";
  append_quoted(out, request.model);
  append_member(out, "max_tokens", parameters.max_tokens.value_or(kAnthropicMaxTokens));
  if (!request.system.empty()) append_member(out, "system", std::string_view(request.system));
  out += ',';
  append_messages(out, {}, request.turns);
  if (parameters.temperature) append_member(out, "temperature", *parameters.temperature);
  if (parameters.top_p) append_member(out, "top_p", *parameters.top_p);
  if (!parameters.stop.empty()) append_member(out, "stop_sequences", parameters.stop);
  const bool with_schema = request.schema && request.server_schema;
  if (with_schema || !parameters.reasoning_effort.empty()) {
    out += R"(,"output_config":{)";
    if (!parameters.reasoning_effort.empty()) {
      out += R"("effort":)";
      append_quoted(out, parameters.reasoning_effort);
      if (with_schema) out += ',';
    }
    if (with_schema) {
      out += R"("format":{"type":"json_schema","schema":)";
      out += base::to_text(*request.schema);
      out += '}';
    }
    out += '}';
  }
  out += R"(,"stream":true})";
  return out;
}

std::unique_ptr<WireDialect> anthropic_dialect() {
  return std::make_unique<AnthropicDialect>();
}

}  // namespace tertulia::llm
