#include "service/session_archive.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/sha256.h"
#include "service/row_json.h"
#include "service/session_json.h"

namespace tertulia::service {
namespace {

namespace json = base::json;

constexpr std::int64_t kArchiveVersion = 1;

base::Error invalid(std::string what) {
  return {.code = base::Code::invalid,
          .message = std::move(what),
          .remedy = "export it again: tertulia session export ID --format json"};
}

// The value in a form in which only its content counts. Numbers that are not whole are rounded:
// reading and writing them again may change their last digit.
void add_canonical(base::Sha256& digest, const json::value& value) {
  if (const json::object* object = value.if_object()) {
    std::vector<std::string_view> names;
    for (const auto& member : *object) names.emplace_back(member.key());
    std::sort(names.begin(), names.end());
    digest.add("{");
    for (const std::string_view name : names) {
      add_canonical(digest, json::string(name));
      add_canonical(digest, object->at(name));
    }
    digest.add("}");
  } else if (const json::array* array = value.if_array()) {
    digest.add("[");
    for (const json::value& each : *array) add_canonical(digest, each);
    digest.add("]");
  } else if (value.is_double()) {
    const double number = value.get_double();
    const bool is_whole = number == std::trunc(number) && std::abs(number) < 1e12;
    digest.add(is_whole ? fmt::format("{},", static_cast<std::int64_t>(number))
                        : fmt::format("{:.12g},", number));
  } else if (const json::string* text = value.if_string()) {
    digest.add(fmt::format("\"{}:", text->size()));
    digest.add(std::string_view(*text));
  } else {
    digest.add(base::to_text(value) + ",");
  }
}

std::string digest_of(const json::object& document) {
  base::Sha256 digest;
  json::object content = document;
  content.erase("sha256");
  add_canonical(digest, json::value(std::move(content)));
  return digest.hex();
}

// As messages are shown, and with what else their row has.
json::object archived_message(const model::Message& message, const engine::SessionData& session) {
  json::object out = message_json(message, session);
  const json::object row = row_json(message);
  for (const char* name : {"speaker_session_role_id", "target_session_role_id",
                           "reply_to_message_id", "content_summary", "section"})
    if (!row.at(name).is_null()) out[name] = row.at(name);
  return out;
}

template <class Row>
json::array rows_json(const std::vector<Row>& rows) {
  json::array out;
  for (const Row& row : rows) out.push_back(row_json(row));
  return out;
}

json::value parsed_or_text(const std::string& text) {
  auto parsed = base::parse_json(text);
  return parsed ? *std::move(parsed) : json::value(text);
}

// ---- reading ------------------------------------------------------------------------------------

class ArchiveReader final {
 public:
  explicit ArchiveReader(const json::object& document) : document_(document) {}

  base::Result<ArchivedSession> read() {
    ArchivedSession archived;
    read_session(archived.whole);
    read_rows("session_roles", archived.whole.roles);
    read_messages(archived.whole.messages);
    read_rows("step_execution_logs", archived.whole.log);
    read_calls(archived.whole.calls);
    if (const json::value* state = member(document_, "", "machine_state"))
      archived.whole.state = base::to_text(*state);
    read_flow(archived.flow);
    number("step_execution_logs", "execution_order", archived.whole.log,
           [](const auto& row) { return row.execution_order; });
    // Behind those that have their place, what branches said that are under way: under minus the
    // order of their row.
    std::vector<model::Message> placed;
    for (const auto& message : archived.whole.messages)
      if (message.position.value_or(0) >= 0) placed.push_back(message);
    number("messages", "position", placed,
           [](const auto& row) { return row.position.value_or(0); });
    if (!good_) return good_.error();
    return archived;
  }

 private:
  const json::value* member(const json::object& of, std::string_view where, std::string_view name) {
    const json::value* found = of.if_contains(name);
    if (found == nullptr) fail(fmt::format("{}{} is missing", where, name));
    return found;
  }
  const json::array& list(const json::object& of, std::string_view where, std::string_view name) {
    static const json::array none;
    const json::value* found = member(of, where, name);
    if (found == nullptr) return none;
    if (!found->is_array()) fail(fmt::format("{}{} is no list", where, name));
    return found->is_array() ? found->get_array() : none;
  }
  void fail(std::string what) {
    if (good_) good_ = invalid(std::move(what));
  }
  template <class Row>
  void take(const json::value& value, const std::string& where, Row& into) {
    if (!good_) return;
    auto row = row_from_json<Row>(value, where);
    if (row)
      into = *std::move(row);
    else
      good_ = invalid(row.error().message);
  }

  void read_session(store::WholeSession& whole) {
    const json::value* session = member(document_, "", "session");
    const json::value* cast = member(document_, "", "cast");
    const json::value* snapshot = member(document_, "", "flow_snapshot");
    if (session == nullptr || cast == nullptr || snapshot == nullptr) return;
    json::object row = session->is_object() ? session->get_object() : json::object();
    row["roles_snapshot"] = *cast;
    row["flow_snapshot"] = *snapshot;
    take(row, "session", whole.row);
  }

  template <class Row>
  void read_rows(std::string_view name, std::vector<Row>& into) {
    read_rows(document_, "", name, into);
  }
  template <class Row>
  void read_rows(const json::object& of, std::string_view where, std::string_view name,
                 std::vector<Row>& into) {
    for (const json::value& each : list(of, where, name)) {
      const std::string place = fmt::format("{}{}[{}]", where, name, into.size());
      take(each, place, into.emplace_back());
    }
  }

  void read_messages(std::vector<model::Message>& into) {
    for (const json::value& each : list(document_, "", "messages")) {
      json::object row = each.is_object() ? each.get_object() : json::object();
      row["session_id"] = 0;
      for (const auto& [column, shown] :
           {std::pair("content", "text"), std::pair("round_index", "round")})
        if (const json::value* value = row.if_contains(shown)) row[column] = json::value(*value);
      const std::string place = fmt::format("messages[{}]", into.size());
      take(row, place, into.emplace_back());
    }
  }

  void read_calls(std::vector<store::CallOfStep>& into) {
    for (const json::value& each : list(document_, "", "model_calls")) {
      const std::string where = fmt::format("model_calls[{}]", into.size());
      auto& call = into.emplace_back();
      take(each, where, call.call);
      const json::value* order = base::at_pointer(each, "/execution_order");
      if (order == nullptr || !order->is_int64())
        fail(where + ".execution_order is missing");
      else
        call.order = order->get_int64();
    }
  }

  void read_flow(ArchivedFlow& flow) {
    const json::value* source = member(document_, "", "flow_source");
    if (source == nullptr) return;
    const json::object of = source->is_object() ? source->get_object() : json::object();
    if (const json::value* row = member(of, "flow_source.", "flow"))
      take(*row, "flow_source.flow", flow.flow);
    read_version(of, "flow_source.", flow.current);
    if (of.contains("earlier"))
      for (const json::value& each : list(of, "flow_source.", "earlier")) {
        const std::string where = fmt::format("flow_source.earlier[{}].", flow.earlier.size());
        read_version(each.is_object() ? each.get_object() : json::object(), where,
                     flow.earlier.emplace_back());
      }
  }

  void read_version(const json::object& of, const std::string& where, ArchivedVersion& into) {
    if (const json::value* row = member(of, where, "version"))
      take(*row, where + "version", into.version);
    read_rows(of, where, "steps", into.steps);
    if (good_ && base::sha256_hex(into.version.source) != into.version.source_sha256)
      fail(where + "version.source is not the text of its source_sha256");
  }

  template <class Row, class Of>
  void number(std::string_view list, std::string_view column, const std::vector<Row>& rows, Of of) {
    std::int64_t next = 0;
    for (const Row& row : rows)
      if (of(row) != ++next && good_)
        fail(
            fmt::format("{}[{}].{} is {}, {} was expected", list, next - 1, column, of(row), next));
  }

  const json::object& document_;
  base::Result<void> good_;
};

}  // namespace

json::object to_archive(json::object head, const store::WholeSession& whole,
                        const ArchivedFlow& flow, const engine::SessionData& session) {
  json::object out;
  out["tertulia_session"] = kArchiveVersion;
  for (const auto& member : head) out[member.key()] = member.value();
  out["cast"] = parsed_or_text(whole.row.roles_snapshot.value_or("null"));
  out["flow_snapshot"] = parsed_or_text(whole.row.flow_snapshot.value_or("null"));
  json::object row = row_json(whole.row);
  row.erase("roles_snapshot");
  row.erase("flow_snapshot");
  out["session"] = std::move(row);
  json::array messages, log, calls;
  for (const auto& message : whole.messages) messages.push_back(archived_message(message, session));
  for (const auto& each : whole.log) log.push_back(log_row_json(each));
  for (const auto& call : whole.calls) calls.push_back(model_call_json(call));
  out["messages"] = std::move(messages);
  out["step_execution_logs"] = std::move(log);
  out["model_calls"] = std::move(calls);
  out["session_roles"] = rows_json(whole.roles);
  out["machine_state"] = parsed_or_text(whole.state);
  json::object source;
  source["flow"] = row_json(flow.flow);
  source["version"] = row_json(flow.current.version);
  source["steps"] = rows_json(flow.current.steps);
  if (!flow.earlier.empty()) {
    json::array earlier;
    for (const ArchivedVersion& each : flow.earlier)
      earlier.push_back(
          json::object{{"version", row_json(each.version)}, {"steps", rows_json(each.steps)}});
    source["earlier"] = std::move(earlier);
  }
  out["flow_source"] = std::move(source);
  const std::string sha256 = digest_of(out);
  out["sha256"] = sha256;
  return out;
}

base::Result<ArchivedSession> read_archive(std::string_view text) {
  auto parsed = base::parse_json(text);
  if (!parsed) return invalid("it is not one whole JSON document: " + parsed.error().message);
  const json::object* document = parsed->if_object();
  const json::value* version =
      document != nullptr ? document->if_contains("tertulia_session") : nullptr;
  if (version == nullptr || !version->is_int64())
    return invalid("it is no exported session (no member tertulia_session)");
  if (version->get_int64() != kArchiveVersion)
    return base::Error{
        .code = base::Code::invalid,
        .message = fmt::format("it is an export of version {}, this program reads version {}",
                               version->get_int64(), kArchiveVersion),
        .remedy = "import it with the release that wrote it, or a later one"};
  const json::value* sha256 = document->if_contains("sha256");
  if (sha256 == nullptr || !sha256->is_string()) return invalid("sha256 is missing");
  auto archived = ArchiveReader(*document).read();
  if (!archived) return archived;
  if (const std::string found = digest_of(*document);
      found != std::string_view(sha256->get_string()))
    return invalid(
        fmt::format("it was changed since it was exported: its sha256 says {}, its content has {}",
                    std::string_view(sha256->get_string()), found));
  return archived;
}

}  // namespace tertulia::service
