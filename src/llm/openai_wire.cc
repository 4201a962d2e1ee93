#include "llm/openai_wire.h"

#include <fmt/format.h>

#include "llm/wire_json.h"

namespace tertulia::llm {
namespace {

namespace json = base::json;

class OpenAiDialect final : public WireDialect {
 public:
  void take(const json::object& object, bool whole, AnswerDraft& draft,
            const AnswerDraft::OnText& on_text) override {
    draft.name_request(text_at(object, "id"));
    draft.name_model(text_at(object, "model"));
    if (const auto* const usage = object_at(object, "usage")) take_usage(*usage, draft);
    const json::value* const choices = object.if_contains("choices");
    if (choices == nullptr || !choices->is_array()) return;
    for (const json::value& choice : choices->get_array()) {
      if (!choice.is_object()) continue;
      const auto index = count_at(choice.get_object(), "index");
      if (index.value_or(0) == 0) take_choice(choice.get_object(), whole, draft, on_text);
    }
  }

  void end(AnswerDraft& draft) override {
    if (!refusal_.empty() && draft.answer().text.empty())
      return draft.fail(Outcome::content_filter,
                        fmt::format("the model refused to answer: {}", quotable(refusal_)));
    if (draft.answer().finish_reason == "content_filter")
      draft.fail(Outcome::content_filter, "the server withheld the answer (content_filter)");
  }

  std::string_view mark_of_the_end() const override { return "finish_reason or [DONE]"; }

 private:
  void take_choice(const json::object& choice, bool whole, AnswerDraft& draft,
                   const AnswerDraft::OnText& on_text) {
    if (const auto* const said = object_at(choice, whole ? "message" : "delta")) {
      if (!seen_role_ && said->contains("role")) {
        seen_role_ = true;
        draft.stir();
      }
      for (const std::string_view thought : {"reasoning_content", "reasoning"})
        if (!text_at(*said, thought).empty()) draft.stir();
      if (said->contains("tool_calls")) draft.stir();
      if (const auto refusal = text_at(*said, "refusal"); !refusal.empty()) {
        draft.stir();
        refusal_ += refusal;
      }
      if (const auto text = text_at(*said, "content"); !text.empty()) draft.say(text, on_text);
    }
    draft.stop(text_at(choice, "finish_reason"));
  }

  static void take_usage(const json::object& given, AnswerDraft& draft) {
    const auto prompt = count_at(given, "prompt_tokens");
    const auto completion = count_at(given, "completion_tokens");
    if (!prompt && !completion) return;
    Usage usage;
    usage.prompt_tokens = prompt.value_or(0);
    usage.completion_tokens = completion.value_or(0);
    if (const auto* const details = object_at(given, "prompt_tokens_details"))
      usage.cached_tokens = count_at(*details, "cached_tokens").value_or(0);
    if (const auto* const details = object_at(given, "completion_tokens_details"))
      usage.reasoning_tokens = count_at(*details, "reasoning_tokens").value_or(0);
    draft.report_usage(usage);
  }

  std::string refusal_;
  bool seen_role_ = false;
};

}  // namespace

std::string chat_body(const Request& request, bool max_completion_tokens) {
  std::string out = R"({"model":)";
  append_quoted(out, request.model);
  out += ',';
  append_messages(out, request.system, request.turns);
  const Parameters& parameters = request.parameters;
  if (parameters.temperature) append_member(out, "temperature", *parameters.temperature);
  if (parameters.top_p) append_member(out, "top_p", *parameters.top_p);
  if (parameters.max_tokens)
    append_member(out, max_completion_tokens ? "max_completion_tokens" : "max_tokens",
                  *parameters.max_tokens);
  if (!parameters.stop.empty()) append_member(out, "stop", parameters.stop);
  if (parameters.seed) append_member(out, "seed", *parameters.seed);
  if (!parameters.reasoning_effort.empty())
    append_member(out, "reasoning_effort", std::string_view(parameters.reasoning_effort));
  if (request.schema && request.server_schema) {
    out += R"(,"response_format":{"type":"json_schema","json_schema":{"name":"output","schema":)";
    out += base::to_text(*request.schema);
    out += "}}";
  }
  out += R"(,"stream":true,"stream_options":{"include_usage":true}})";
  return out;
}

std::unique_ptr<WireDialect> openai_dialect() {
  return std::make_unique<OpenAiDialect>();
}

}  // namespace tertulia::llm
