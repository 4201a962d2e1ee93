#include "engine/batch_result.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/near_name.h"
#include "store/sessions.h"
#include "store/step_log.h"

namespace tertulia::engine {
namespace {

namespace json = base::json;

bool keeps(const BatchView& view, const std::string& role) {
  return view.roles.empty() ||
         std::find(view.roles.begin(), view.roles.end(), role) != view.roles.end();
}

std::string name_of(const flow::Cast& cast, const std::string& ref) {
  const flow::CastRole* role = cast.find(ref);
  return role == nullptr ? ref : role->name;
}

json::object plain(const BatchView& view, const std::string& input_id, const SessionData& session,
                   const std::optional<std::string>& result, const std::vector<flow::Said>& said) {
  json::object out;
  out["id"] = input_id;
  out["session"] = session.id;
  out["topic"] = session.topic;
  out["result"] = nullptr;
  if (result)
    if (auto parsed = base::parse_json(*result)) out["result"] = *std::move(parsed);
  json::array messages;
  for (const flow::Said& each : said) {
    if (!keeps(view, each.role)) continue;
    json::object message;
    message["role"] = each.role;
    message["name"] = name_of(session.cast, each.role);
    message["text"] = each.text;
    messages.push_back(std::move(message));
  }
  out["messages"] = std::move(messages);
  return out;
}

struct ChatTurn {
  bool own = false;
  std::string text;
};

// As a chat between two: neighbours of one side become one turn.
std::vector<ChatTurn> chat(const BatchView& view, const SessionData& session,
                           const std::vector<flow::Said>& said) {
  std::set<std::string> others;
  for (const flow::Said& each : said)
    if (each.role != view.as && keeps(view, each.role)) others.insert(each.role);
  std::vector<ChatTurn> turns;
  for (const flow::Said& each : said) {
    if (!keeps(view, each.role)) continue;
    const bool own = each.role == view.as;
    if (turns.empty() && own) turns.push_back({.own = false, .text = session.topic});
    const std::string text =
        own || others.size() < 2
            ? each.text
            : fmt::format("{}: {}", name_of(session.cast, each.role), each.text);
    if (!turns.empty() && turns.back().own == own) {
      turns.back().text += "\n\n" + text;
    } else {
      turns.push_back({.own = own, .text = text});
    }
  }
  return turns;
}

struct ChatWords {
  const char *list, *who, *what, *system, *user, *assistant;
};
constexpr ChatWords kOpenAi{"messages", "role", "content", "system", "user", "assistant"};
constexpr ChatWords kShareGpt{"conversations", "from", "value", "system", "human", "gpt"};

json::object chat_json(const ChatWords& words, const BatchView& view, const SessionData& session,
                       const std::vector<flow::Said>& said) {
  json::array list;
  const auto add = [&](const char* who, const std::string& text) {
    list.push_back(json::object{{words.who, who}, {words.what, text}});
  };
  const flow::CastRole* role = session.cast.find(view.as);
  if (role != nullptr && !role->prompt.empty()) add(words.system, role->prompt);
  for (const ChatTurn& turn : chat(view, session, said))
    add(turn.own ? words.assistant : words.user, turn.text);
  return json::object{{words.list, std::move(list)}};
}

}  // namespace

std::optional<BatchFormat> batch_format_from(std::string_view name) {
  if (name == "jsonl") return BatchFormat::jsonl;
  if (name == "openai") return BatchFormat::openai;
  if (name == "sharegpt") return BatchFormat::sharegpt;
  return {};
}

base::Result<void> check_view(const BatchView& view, const flow::Program& program) {
  std::vector<std::string> known;
  for (const auto& role : program.roles) known.push_back(role.ref);
  const auto refuse = [&](std::string message) {
    return base::Error{.code = base::Code::invalid,
                       .message = std::move(message),
                       .remedy = fmt::format("the flow's roles are {}", fmt::join(known, ", "))};
  };
  std::vector<std::string> named = view.roles;
  if (!view.as.empty()) named.push_back(view.as);
  for (const std::string& ref : named) {
    if (program.role(ref) != nullptr) continue;
    const std::string near = base::near_name(ref, known);
    return refuse(
        fmt::format("the flow has no role '{}'{}", ref,
                    near.empty() ? std::string() : fmt::format("; did you mean '{}'?", near)));
  }
  if (view.format == BatchFormat::jsonl) return {};
  if (view.as.empty())
    return refuse("this format wants --as ROLE: whose words are the assistant's");
  if (!keeps(view, view.as))
    return refuse(
        fmt::format("--as {} is not among --roles, so none of its words would be kept", view.as));
  return {};
}

base::Result<std::string> result_line(db::Connection& reader, FlowCache& flows,
                                      const BatchView& view, const std::string& input_id,
                                      Id session) {
  auto row = store::load_session(reader, session);
  if (!row) return row.error();
  auto data = load_session_data(reader, flows, session);
  if (!data) return data.error();
  auto messages = store::load_messages(reader, session);
  if (!messages) return messages.error();
  std::vector<flow::Said> said;
  for (const auto& message : *messages) said.push_back(to_said(message, *data));
  switch (view.format) {
    case BatchFormat::jsonl:
      return base::to_text(plain(view, input_id, *data, row->result, said));
    case BatchFormat::openai:
      return base::to_text(chat_json(kOpenAi, view, *data, said));
    case BatchFormat::sharegpt:
      return base::to_text(chat_json(kShareGpt, view, *data, said));
  }
  return base::Error{.code = base::Code::internal, .message = "a format without a writer"};
}

}  // namespace tertulia::engine
