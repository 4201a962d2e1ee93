#include "service/session_html.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "base/json_members.h"
#include "base/utf8.h"
#include "service/log_words.h"
#include "service/session_json.h"

namespace tertulia::service {
namespace {

constexpr std::string_view kHead = R"(<!doctype html>
<html lang="{}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>{}</title>
<style>
)";
constexpr std::string_view kStyle =
    R"(:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 1rem/1.55 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 1rem;
  overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); }
.topic { font-size: 1.1rem; }
.note { border-left: .25rem solid #b80; padding-left: .75rem; }
.dim { opacity: .7; font-size: .85rem; }
.text { white-space: pre-wrap; }
article { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .75rem;
  margin: .75rem 0; }
details { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .75rem;
  margin: .75rem 0; }
summary { cursor: pointer; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; }
dd { margin: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; overflow-wrap: normal; }
th, td { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0;
  border-bottom: 1px solid var(--line); }
pre { white-space: pre-wrap; background: var(--soft); padding: .5rem; border-radius: .25rem; }
)";

// A text that runs as its own letters do, whatever stands beside it.
std::string inline_text(std::string_view text) {
  return fmt::format("<bdi>{}</bdi>", escape_html(text));
}
std::string block_text(std::string_view text) {
  return fmt::format("<div class=\"text\" dir=\"auto\">{}</div>\n", escape_html(text));
}

class Page final {
 public:
  Page(const store::WholeSession& whole, const engine::SessionData& session)
      : whole_(whole), session_(session) {}

  std::string text() {
    const std::string title = session_.program().title;
    page_ = fmt::format(kHead, escape_html(session_.program().language), escape_html(title));
    page_ += kStyle;
    page_ += "</style>\n</head>\n<body>\n";
    page_ += fmt::format("<h1>{}</h1>\n", inline_text(title));
    if (!session_.topic.empty())
      page_ += fmt::format("<p class=\"topic\">{}</p>\n", inline_text(session_.topic));
    if (session_.is_rehearsed())
      page_ +=
          "<p class=\"note\">Rehearsal: spoken by the built-in stand-in, not by a model.</p>\n";
    add_facts();
    add_cast();
    add_messages();
    add_documents();
    add_result();
    add_log();
    page_ += "</body>\n</html>\n";
    return std::move(page_);
  }

 private:
  void fact(std::string_view name, const std::string& html) {
    page_ += fmt::format("<dt>{}</dt><dd>{}</dd>\n", name, html);
  }

  void add_facts() {
    const model::Session& row = whole_.row;
    std::int64_t prompt = 0, completion = 0;
    double cost = 0;
    std::set<std::string> models;
    for (const auto& [order, call] : whole_.calls) {
      prompt += call.prompt_tokens.value_or(0);
      completion += call.completion_tokens.value_or(0);
      cost += call.cost_usd.value_or(0);
      models.insert(call.provider == call.model || call.model.empty()
                        ? call.provider
                        : call.provider + " " + call.model);
    }
    page_ += "<dl>\n";
    fact("Session", fmt::format("{}", row.id));
    fact("Flow",
         fmt::format("{} version {}", inline_text(session_.flow_name), session_.flow_version));
    fact(
        "Status",
        fmt::format("{}{}", model::to_text(row.status),
                    row.stop_reason ? fmt::format(" ({})", model::to_text(*row.stop_reason)) : ""));
    if (row.error_reason) fact("Reason", inline_text(*row.error_reason));
    std::string made_by;
    for (const std::string& each : models)
      made_by += (made_by.empty() ? "" : ", ") + inline_text(each);
    if (!models.empty()) fact("Made by", made_by);
    fact("Begun", base::to_iso8601(row.created_at));
    if (row.ended_at) fact("Ended", base::to_iso8601(*row.ended_at));
    fact("Tokens", fmt::format("{} in, {} out", prompt, completion));
    if (cost > 0) fact("Cost", fmt::format("{:.4f} US dollars", cost));
    page_ += "</dl>\n";
  }

  void add_cast() {
    page_ += "<h2>Cast</h2>\n";
    for (const flow::CastRole& role : session_.cast.roles) {
      const std::string model(base::text_at(role.model, "model"));
      const std::string provider(base::text_at(role.model, "provider"));
      page_ += fmt::format(
          "<details><summary>{} <span class=\"dim\">{}</span></summary>\n{}</details>\n",
          inline_text(role.name),
          inline_text(model.empty() || model == provider ? provider : provider + " " + model),
          block_text(role.prompt));
    }
  }

  std::string name_of(std::string_view ref) const {
    const flow::CastRole* role = session_.cast.find(ref);
    return role != nullptr ? role->name : std::string(ref);
  }

  void add_messages() {
    std::int64_t round = 0;
    for (const auto& message : whole_.messages) {
      if (message.round_index != round) {
        round = message.round_index;
        page_ += fmt::format("<h2>Round {}</h2>\n", round);
      }
      const base::json::object shown = message_json(message, session_);
      const std::string_view to = base::text_at(shown, "to");
      const std::int64_t position = message.position.value_or(0);
      page_ += fmt::format("<article id=\"message-{}\"><p><strong>{}</strong>", position,
                           inline_text(base::text_at(shown, "speaker")));
      if (!to.empty()) page_ += fmt::format(" to {}", inline_text(name_of(to)));
      page_ += fmt::format(" <span class=\"dim\">{}", position);
      if (message.document)
        page_ += fmt::format(", document {}, version {}", inline_text(*message.document),
                             message.document_version.value_or(0));
      page_ += "</span></p>\n";
      add_words(message.content);
      page_ += "</article>\n";
    }
  }

  void add_words(const std::string& content) {
    auto value = base::parse_json(content);
    if (value && value->is_object())
      page_ += fmt::format("<pre>{}</pre>\n", escape_html(base::to_pretty_text(*value)));
    else
      page_ += block_text(content);
  }

  void add_documents() {
    std::map<std::string, const model::Message*> latest;
    for (const auto& message : whole_.messages)
      if (message.document) latest[*message.document] = &message;
    if (latest.empty()) return;
    page_ += "<h2>Documents</h2>\n";
    for (const auto& [name, message] : latest)
      page_ += fmt::format(
          "<details><summary>{} <span class=\"dim\">version {}</span></summary>\n"
          "{}</details>\n",
          inline_text(name), message->document_version.value_or(0), block_text(message->content));
  }

  void add_result() {
    if (!whole_.row.result || *whole_.row.result == "null") return;
    page_ += "<h2>Result</h2>\n";
    add_words(*whole_.row.result);
  }

  void add_log() {
    page_ += fmt::format(
        "<details><summary>The step log, {} rows</summary>\n<div class=\"wide\"><table>\n"
        "<tr><th>Order</th><th>Round</th><th>Iteration</th><th>Step</th><th>Outcome</th>"
        "<th>Time</th><th>Model</th></tr>\n",
        whole_.log.size());
    std::multimap<std::int64_t, const model::ModelCall*> calls;
    for (const auto& [order, call] : whole_.calls) calls.emplace(order, &call);
    for (const auto& row : whole_.log) {
      std::string models;
      for (auto [at, end] = calls.equal_range(row.execution_order); at != end; ++at)
        models += fmt::format(
            "{}{}: {}", models.empty() ? "" : "<br>",
            inline_text(at->second->model.empty() ? at->second->provider : at->second->model),
            inline_text(at->second->outcome));
      page_ += fmt::format(
          "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{} ms</td><td>{}</td>"
          "</tr>\n",
          row.execution_order, row.round_index.value_or(0), row.loop_iteration.value_or(0),
          inline_text(log_step_words(session_, row)), inline_text(log_outcome_words(row)),
          row.duration_ms.value_or(0), models);
    }
    page_ += "</table></div></details>\n";
  }

  const store::WholeSession& whole_;
  const engine::SessionData& session_;
  std::string page_;
};

}  // namespace

std::string escape_html(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = at;
    const char32_t c = base::next_code_point(text, at);
    const bool turns_text = (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
    switch (c) {
      case U'&':
        safe += "&amp;";
        break;
      case U'<':
        safe += "&lt;";
        break;
      case U'>':
        safe += "&gt;";
        break;
      case U'"':
        safe += "&quot;";
        break;
      case U'\'':
        safe += "&#39;";
        break;
      default:
        // Characters that turn the direction of what follows could make the page say other than
        // it does; control characters are nothing that HTML may hold.
        if (turns_text)
          safe += fmt::format("⟨U+{:04X}⟩", static_cast<std::uint32_t>(c));
        else if (c != U'\n' && c != U'\t' && c < 0x20)
          safe += {'\xE2', '\x90', static_cast<char>(0x80 + c)};  // U+2400 and on: their pictures
        else if (c == 0xFFFD || (c >= 0x7F && c < 0xA0))
          safe += "\xEF\xBF\xBD";
        else
          safe += text.substr(start, at - start);
    }
  }
  return safe;
}

std::string session_page(const store::WholeSession& whole, const engine::SessionData& session) {
  return Page(whole, session).text();
}

}  // namespace tertulia::service
