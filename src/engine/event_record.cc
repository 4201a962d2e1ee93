#include "engine/event_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/monotonic_resource.hpp>
#include <map>

#include "base/json_members.h"
#include "store/session_events.h"

namespace tertulia::engine {
namespace {

namespace json = base::json;

// A row that was closed for good: the result_data of others may still change.
bool is_of_completed_row(const Event& event) {
  if (event.type != Event::Type::step_completed) return false;
  return base::text_at(event.data, "status") == "completed";
}

json::object without_repetition(const Event& event, const json::storage_ptr& storage) {
  json::object stored(storage);
  stored.reserve(event.data.size() + 1);
  stored["type"] = event_name(event.type);
  for (const auto& member : event.data) {
    if (member.key() == "result_data" && is_of_completed_row(event)) continue;
    if (member.key() == "message" && member.value().is_object()) {
      json::object message(storage);
      message.reserve(member.value().get_object().size());
      for (const auto& part : member.value().get_object()) {
        json::value& kept = message[part.key()];
        // Null holds the text's place among the members.
        if (part.key() != "text") kept = part.value();
      }
      stored["message"] = std::move(message);
      continue;
    }
    stored[member.key()] = member.value();
  }
  return stored;
}

base::Error not_as_written(const model::SessionEvents& row) {
  return {.code = base::Code::storage,
          .message = fmt::format("the events of session {} up to {} cannot be read",
                                 row.session_id.value_or(0), row.last_number)};
}

// The order of the log row that has what was left out; 0 where nothing was.
std::int64_t order_to_read(const Event& event) {
  if (event.type == Event::Type::message) {
    const json::object* message = base::object_at(event.data, "message");
    return message != nullptr ? base::integer_at(*message, "order") : 0;
  }
  return is_of_completed_row(event) ? base::integer_at(event.data, "order") : 0;
}

}  // namespace

std::string to_record(const std::vector<Event>& events) {
  // A commit's events are small: they need no memory of the heap on their way to text.
  unsigned char buffer[8192];
  json::monotonic_resource memory(buffer, sizeof buffer);
  json::array all(&memory);
  all.reserve(events.size());
  for (const Event& event : events) all.push_back(without_repetition(event, &memory));
  return base::to_text(json::value(std::move(all)));
}

base::Result<std::vector<Event>> read_events(db::Connection& connection,
                                             const std::vector<model::SessionEvents>& rows) {
  std::vector<Event> events;
  for (const model::SessionEvents& row : rows) {
    auto stored = base::parse_json(row.events);
    if (!stored || !stored->is_array()) return not_as_written(row);
    const json::array& all = stored->get_array();
    std::int64_t number = row.last_number - static_cast<std::int64_t>(all.size());
    for (const json::value& each : all) {
      const json::object* object = each.if_object();
      const json::value* name = object != nullptr ? object->if_contains("type") : nullptr;
      const auto type = name != nullptr && name->is_string()
                            ? event_type(std::string_view(name->get_string()))
                            : std::nullopt;
      if (!type) return not_as_written(row);
      Event event{.id = ++number,
                  .type = *type,
                  .session_id = row.session_id.value_or(0),
                  .time = row.created_at,
                  .data = {}};
      for (const auto& member : *object)
        if (member.key() != "type") event.data[member.key()] = member.value();
      events.push_back(std::move(event));
    }
  }
  std::int64_t first = INT64_MAX;
  std::int64_t last = 0;
  for (const Event& event : events)
    if (const std::int64_t order = order_to_read(event); order != 0) {
      first = std::min(first, order);
      last = std::max(last, order);
    }
  if (last == 0) return events;
  const model::Id session = rows.front().session_id.value_or(0);
  auto results = store::load_results_between(connection, session, first, last);
  if (!results) return results.error();
  struct Result {
    json::object data;
    model::Id message = 0;
  };
  std::map<std::int64_t, Result> by_order;
  model::Id first_message = INT64_MAX;
  model::Id last_message = 0;
  for (const auto& [order, text] : *results) {
    auto data = base::parse_json(text);
    if (!data || !data->is_object()) continue;
    Result result{.data = std::move(data->get_object()), .message = 0};
    result.message = base::integer_at(result.data, "message_id");
    // Not erase, which puts the last member in its place.
    if (const auto id = result.data.find("message_id"); id != result.data.end())
      result.data.stable_erase(id);
    if (result.message != 0) {
      first_message = std::min(first_message, result.message);
      last_message = std::max(last_message, result.message);
    }
    by_order.emplace(order, std::move(result));
  }
  std::map<model::Id, std::string> contents;
  if (last_message != 0) {
    auto loaded = store::load_contents_between(connection, session, first_message, last_message);
    if (!loaded) return loaded.error();
    contents = *std::move(loaded);
  }
  for (Event& event : events) {
    const std::int64_t order = order_to_read(event);
    if (order == 0) continue;
    const auto found = by_order.find(order);
    if (event.type == Event::Type::step_completed) {
      // A row may be closed without a result; the event has an empty one then.
      event.data["result_data"] = found == by_order.end() ? json::object() : found->second.data;
    } else if (found == by_order.end()) {
      continue;
    } else if (const auto content = contents.find(found->second.message);
               content != contents.end()) {
      event.data["message"].as_object()["text"] = content->second;
    }
  }
  return events;
}

base::Result<std::vector<Event>> load_events(db::Connection& connection, model::Id session,
                                             std::int64_t after, std::int64_t limit) {
  auto rows = store::load_session_events(connection, session, after, limit);
  if (!rows) return rows.error();
  auto events = read_events(connection, *rows);
  if (!events) return events;
  std::erase_if(*events, [after](const Event& event) { return event.id <= after; });
  return events;
}

}  // namespace tertulia::engine
