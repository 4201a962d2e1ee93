#include <fmt/format.h>

#include <charconv>

#include "flow/machine.h"

namespace tertulia::flow {
namespace {

json::string_view view(std::string_view text) {
  return {text.data(), text.size()};
}

std::string_view view(const json::string& text) {
  return {text.data(), text.size()};
}

// A map of small structs is written as {"key": [number, number]}.
template <class Map, class Write>
void put_map(json::object& into, std::string_view name, const Map& map, const Write& write) {
  if (map.empty()) return;
  json::object members;
  for (const auto& entry : map) {
    if constexpr (std::is_same_v<typename Map::key_type, int>)
      members[std::to_string(entry.first)] = write(entry.second);
    else
      members[entry.first] = write(entry.second);
  }
  into[view(name)] = std::move(members);
}

json::value same(std::int64_t number) {
  return number;
}
json::value pair(std::int64_t a, std::int64_t b) {
  return json::array{a, b};
}

json::object to_json(const State::Open& open) {
  json::object out;
  out["order"] = open.order;
  out["at"] = open.instruction;
  out["visit"] = open.visit;
  out["attempt"] = open.attempt;
  out["failures"] = open.failures;
  out["status"] = view(model::to_text(open.status));
  return out;
}

// Reads members of an object and remembers the first that is missing or not what it should be.
class Reader final {
 public:
  explicit Reader(const json::object& object) : object_(object) {}

  [[nodiscard]] const std::string& wrong() const { return wrong_; }

  std::int64_t number(std::string_view name) {
    const json::value* value = find(name);
    if (value == nullptr || !value->is_int64()) return refuse(name), 0;
    return value->get_int64();
  }
  int index(std::string_view name) { return static_cast<int>(number(name)); }

  std::string_view text(std::string_view name) {
    const json::value* value = find(name);
    if (value == nullptr || !value->is_string()) return refuse(name), std::string_view();
    return view(value->get_string());
  }
  template <class E>
  E word(std::string_view name) {
    const auto value = model::from_text<E>(text(name));
    if (!value) refuse(name);
    return value.value_or(E{});
  }
  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }

  // The members of an object; none if there is no such object.
  const json::object& members(std::string_view name) {
    static const json::object none;
    const json::value* value = find(name);
    if (value == nullptr) return none;
    if (!value->is_object()) return refuse(name), none;
    return value->get_object();
  }
  // The elements of an array of numbers that has `count` of them; else `count` zeros.
  std::vector<std::int64_t> numbers(std::string_view name, const json::value& value,
                                    std::size_t count) {
    std::vector<std::int64_t> found;
    if (const json::array* array = value.if_array())
      for (const json::value& item : *array)
        if (item.is_int64()) found.push_back(item.get_int64());
    if (found.size() != count) {
      refuse(name);
      found.assign(count, 0);
    }
    return found;
  }
  std::int64_t number_in(std::string_view name, const json::value& value) {
    if (!value.is_int64()) return refuse(name), 0;
    return value.get_int64();
  }
  int index_in(std::string_view name, json::string_view key) {
    int index = 0;
    const auto [end, failed] = std::from_chars(key.data(), key.data() + key.size(), index);
    if (failed != std::errc() || end != key.data() + key.size()) refuse(name);
    return index;
  }
  void refuse(std::string_view name) {
    if (wrong_.empty()) wrong_ = name;
  }

 private:
  [[nodiscard]] const json::value* find(std::string_view name) const {
    return object_.if_contains(view(name));
  }

  const json::object& object_;
  std::string wrong_;
};

base::Error invalid(std::string_view what) {
  return {.code = base::Code::invalid, .message = fmt::format("not a machine state: {}", what)};
}

}  // namespace

std::string State::to_text() const {
  json::object out;
  out["status"] = view(model::to_text(status));
  if (stop_reason) out["stop_reason"] = view(model::to_text(*stop_reason));
  if (!stop_text.empty()) out["stop_text"] = stop_text;
  if (!frames.empty()) {
    json::array list;
    for (const Frame& frame : frames)
      list.push_back(json::array{frame.loop, frame.iteration, frame.order});
    out["frames"] = std::move(list);
  }
  if (open) out["open"] = to_json(*open);
  if (resume_at) out["resume_at"] = *resume_at;
  out["round"] = round;
  out["round_start"] = round_start;
  out["previous_round_start"] = previous_round_start;
  out["last_order"] = last_order;
  out["last_position"] = last_position;
  out["steps_used"] = steps_used;
  out["elapsed_ms"] = elapsed_ms;
  put_map(out, "variables", variables, [](const json::value& value) { return value; });
  put_map(out, "outputs", outputs, same);
  put_map(out, "spoken", spoken, [](const Spoken& each) { return pair(each.count, each.last); });
  put_map(out, "documents", documents,
          [](const Version& each) { return pair(each.number, each.position); });
  put_map(out, "visits", visits, same);
  put_map(out, "jumps", jumps, same);
  out["limits"] = limits.to_json();
  return base::to_text(out);
}

base::Result<State> State::from_text(std::string_view text) {
  const auto parsed = base::parse_json(text);
  if (!parsed) return invalid(parsed.error().message);
  const json::object* object = parsed->if_object();
  if (object == nullptr) return invalid("it is no object");

  Reader read(*object);
  State state;
  state.status = read.word<model::SessionStatus>("status");
  if (read.has("stop_reason")) state.stop_reason = read.word<model::StopReason>("stop_reason");
  if (read.has("stop_text")) state.stop_text = read.text("stop_text");
  if (const json::value* frames = object->if_contains("frames")) {
    if (!frames->is_array()) return invalid("frames");
    for (const json::value& each : frames->get_array()) {
      const auto numbers = read.numbers("frames", each, 3);
      state.frames.push_back(
          {.loop = static_cast<int>(numbers[0]), .iteration = numbers[1], .order = numbers[2]});
    }
  }
  if (read.has("open")) {
    Reader row(read.members("open"));
    State::Open open;
    open.order = row.number("order");
    open.instruction = row.index("at");
    open.visit = row.number("visit");
    open.attempt = row.number("attempt");
    open.failures = row.number("failures");
    open.status = row.word<model::StepStatus>("status");
    if (!row.wrong().empty()) return invalid("open." + row.wrong());
    state.open = open;
  }
  if (read.has("resume_at")) state.resume_at = read.index("resume_at");
  state.round = read.number("round");
  state.round_start = read.number("round_start");
  state.previous_round_start = read.number("previous_round_start");
  state.last_order = read.number("last_order");
  state.last_position = read.number("last_position");
  state.steps_used = read.number("steps_used");
  state.elapsed_ms = read.number("elapsed_ms");
  for (const auto& each : read.members("variables"))
    state.variables.emplace(each.key(), each.value());
  for (const auto& each : read.members("outputs"))
    state.outputs.emplace(each.key(), read.number_in("outputs", each.value()));
  for (const auto& each : read.members("spoken")) {
    const auto numbers = read.numbers("spoken", each.value(), 2);
    state.spoken.emplace(each.key(), Spoken{.count = numbers[0], .last = numbers[1]});
  }
  for (const auto& each : read.members("documents")) {
    const auto numbers = read.numbers("documents", each.value(), 2);
    state.documents.emplace(each.key(), Version{.number = numbers[0], .position = numbers[1]});
  }
  for (const auto& each : read.members("visits"))
    state.visits.emplace(read.index_in("visits", each.key()),
                         read.number_in("visits", each.value()));
  for (const auto& each : read.members("jumps"))
    state.jumps.emplace(read.index_in("jumps", each.key()), read.number_in("jumps", each.value()));
  const json::value* limits = object->if_contains("limits");
  if (limits == nullptr) return invalid("limits");
  auto read_limits = Limits::from_json(*limits);
  if (!read_limits) return read_limits.error().in("not a machine state: limits");
  state.limits = *read_limits;
  if (!read.wrong().empty()) return invalid(read.wrong());
  return state;
}

}  // namespace tertulia::flow
