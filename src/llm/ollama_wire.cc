#include "llm/ollama_wire.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "llm/http_provider.h"
#include "llm/wire_json.h"

namespace tertulia::llm {
namespace {

namespace json = base::json;

class OllamaDialect final : public WireDialect {
 public:
  explicit OllamaDialect(std::string model) : model_(std::move(model)) {}

  void take(const json::object& object, bool /*whole*/, AnswerDraft& draft,
            const AnswerDraft::OnText& on_text) override {
    draft.name_model(text_at(object, "model"));
    if (const auto* const message = object_at(object, "message")) {
      draft.stir();
      if (const auto text = text_at(*message, "content"); !text.empty()) draft.say(text, on_text);
    }
    const json::value* const done = object.if_contains("done");
    if (draft.failed() || done == nullptr || !done->is_bool() || !done->get_bool()) return;
    const std::string_view reason = text_at(object, "done_reason");
    draft.stop(reason.empty() ? "stop" : reason);  // older servers give none
    // A prompt that the server still had in memory is not counted by older ones.
    const auto prompt = count_at(object, "prompt_eval_count");
    const auto completion = count_at(object, "eval_count");
    if (prompt && completion) {
      Usage usage;
      usage.prompt_tokens = *prompt;
      usage.completion_tokens = *completion;
      draft.report_usage(usage);
    }
    draft.close();
  }

  std::string_view mark_of_the_end() const override { return "done"; }

  std::string remedy(int /*status*/, const Answer& answer) const override {
    const bool missing = answer.error.find("not found") != std::string::npos &&
                         answer.error.find("model") != std::string::npos;
    if (!missing || model_.empty()) return {};
    return fmt::format("; fetch it on that machine: ollama pull {}", quotable(model_));
  }

 private:
  std::string model_;
};

}  // namespace

std::int64_t ollama_context(const Request& request, std::optional<std::int64_t> context_window) {
  if (context_window) return *context_window;
  constexpr std::int64_t kLeast = 8192;
  constexpr std::int64_t kAnswer = 2048;
  constexpr std::int64_t kMost = std::int64_t{1} << 30;
  const std::int64_t answer = std::min(request.parameters.max_tokens.value_or(kAnswer), kMost);
  // A quarter more: the vocabularies of small models cut finer than the estimate.
  const std::int64_t prompt = std::min(estimate_request_tokens(request), kMost) * 5 / 4;
  return std::max(kLeast, static_cast<std::int64_t>(
                              std::bit_ceil(static_cast<std::uint64_t>(prompt + answer))));
}

std::string ollama_body(const Request& request, std::optional<std::int64_t> context_window) {
  const Parameters& parameters = request.parameters;
  std::string out = R"({"model":)";
  append_quoted(out, request.model);
  out += ',';
  append_messages(out, request.system, request.turns);
  if (parameters.reasoning_effort == "none")
    out += R"(,"think":false)";
  else if (!parameters.reasoning_effort.empty())
    append_member(out, "think", std::string_view(parameters.reasoning_effort));
  if (request.schema && request.server_schema) {
    out += R"(,"format":)";
    out += base::to_text(*request.schema);
  }
  fmt::format_to(std::back_inserter(out), R"(,"options":{{"num_ctx":{})",
                 ollama_context(request, context_window));
  if (parameters.temperature) append_member(out, "temperature", *parameters.temperature);
  if (parameters.top_p) append_member(out, "top_p", *parameters.top_p);
  if (parameters.max_tokens) append_member(out, "num_predict", *parameters.max_tokens);
  if (!parameters.stop.empty()) append_member(out, "stop", parameters.stop);
  if (parameters.seed) append_member(out, "seed", *parameters.seed);
  out += R"(},"truncate":false,"shift":false,"stream":true})";
  return out;
}

std::unique_ptr<WireDialect> ollama_dialect(std::string model) {
  return std::make_unique<OllamaDialect>(std::move(model));
}

}  // namespace tertulia::llm
