#include "flow/state.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

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

json::value triple(const Spent& spent) {
  return json::array{spent.prompt_tokens, spent.completion_tokens, spent.cost_nano};
}

// What is a default is left out: the state is written with every commit.
json::object to_json(const Strand::Open& open) {
  json::object out;
  out["order"] = open.order;
  out["at"] = open.instruction;
  out["visit"] = open.visit;
  out["attempt"] = open.attempt;
  out["failures"] = open.failures;
  out["status"] = view(model::to_text(open.status));
  out["ordinal"] = open.ordinal;
  if (!open.role.empty()) out["role"] = open.role;
  if (open.reason) out["reason"] = view(model::to_text(*open.reason));
  if (!open.error.empty()) out["error"] = open.error;
  if (!open.judgements.empty()) out["judgements"] = open.judgements;
  if (open.profile != 0) out["profile"] = open.profile;
  if (!open.part.empty()) out["part"] = open.part;
  if (open.parts != 0) out["parts"] = open.parts;
  if (!open.wrong.empty()) out["wrong"] = open.wrong;
  if (!open.wrong_why.empty()) out["wrong_why"] = open.wrong_why;
  if (!open.spent.empty()) out["spent"] = triple(open.spent);
  return out;
}

constexpr std::array<std::string_view, 4> kFrameKinds = {"loop", "discuss", "parallel", "call"};

void put_scope(json::object& out, const Scope& scope, std::int64_t last_position) {
  put_map(out, "variables", scope.variables, [](const json::value& value) { return value; });
  put_map(out, "outputs", scope.outputs, same);
  put_map(out, "spoken", scope.spoken,
          [](const Scope::Spoken& each) { return pair(each.count, each.last); });
  put_map(out, "documents", scope.documents,
          [](const Scope::Version& each) { return pair(each.number, each.position); });
  if (scope.first != 1) out["first"] = scope.first;
  if (scope.last_said != last_position) out["last_said"] = scope.last_said;
  if (scope.topic) out["topic"] = *scope.topic;
  if (!scope.prefix.empty()) out["prefix"] = scope.prefix;
}

json::value to_json(const Strand::Frame& frame, std::int64_t last_position) {
  json::array out{frame.block, frame.iteration, frame.order};
  if (frame.kind == Strand::Frame::Kind::loop) return out;
  json::object more;
  more["kind"] = view(kFrameKinds[static_cast<std::size_t>(frame.kind)]);
  if (frame.chosen >= 0) more["chosen"] = frame.chosen;
  if (!frame.caller.empty()) {
    json::object caller;
    put_scope(caller, frame.caller.front(), last_position);
    more["caller"] = std::move(caller);
  }
  out.push_back(std::move(more));
  return out;
}

json::object branch_json(const Strand& branch);

void put_strand(json::object& out, const Strand& strand) {
  if (!strand.frames.empty()) {
    json::array list;
    for (const Strand::Frame& frame : strand.frames)
      list.push_back(to_json(frame, strand.last_position));
    out["frames"] = std::move(list);
  }
  if (strand.open) out["open"] = to_json(*strand.open);
  out["round_start"] = strand.round_start;
  out["previous_round_start"] = strand.previous_round_start;
  out["last_position"] = strand.last_position;
  out["elapsed_ms"] = strand.elapsed_ms;
  put_scope(out, strand, strand.last_position);
  put_map(out, "visits", strand.visits, same);
  put_map(out, "jumps", strand.jumps, same);
  if (strand.branches.empty()) return;
  json::array branches;
  for (const Strand& branch : strand.branches) branches.push_back(branch_json(branch));
  out["branches"] = std::move(branches);
}

json::object branch_json(const Strand& branch) {
  json::object out;
  out["branch"] = branch.number;
  if (!branch.each_role.empty()) out["each"] = branch.each_role;
  if (branch.done) out["done"] = true;
  out["base"] = branch.base;
  if (!branch.said.empty()) {
    json::array said;
    for (const std::int64_t order : branch.said) said.push_back(order);
    out["said"] = std::move(said);
  }
  out["block_order"] = branch.block_order;
  out["block_iteration"] = branch.block_iteration;
  out["way"] = branch.way;
  put_strand(out, branch);
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
  std::optional<Spent> spent(std::string_view name) {
    const json::value* value = find(name);
    if (value == nullptr) return {};
    const auto three = numbers(name, *value, 3);
    return Spent{.prompt_tokens = three[0], .completion_tokens = three[1], .cost_nano = three[2]};
  }
  // The elements of an array; none if there is no such array.
  const json::array& list(std::string_view name) {
    static const json::array none;
    const json::value* value = find(name);
    if (value == nullptr) return none;
    if (!value->is_array()) return refuse(name), none;
    return value->get_array();
  }
  std::int64_t number_or(std::string_view name, std::int64_t otherwise) {
    return has(name) ? number(name) : otherwise;
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

constexpr std::size_t kMaxNesting = 64;  // of strands: a text that nests deeper is refused

void read_scope(Reader& read, Scope& scope, std::int64_t last_position) {
  for (const auto& each : read.members("variables"))
    scope.variables.emplace(each.key(), each.value());
  for (const auto& each : read.members("outputs"))
    scope.outputs.emplace(each.key(), read.number_in("outputs", each.value()));
  for (const auto& each : read.members("spoken")) {
    const auto numbers = read.numbers("spoken", each.value(), 2);
    scope.spoken.emplace(each.key(), Scope::Spoken{.count = numbers[0], .last = numbers[1]});
  }
  for (const auto& each : read.members("documents")) {
    const auto numbers = read.numbers("documents", each.value(), 2);
    scope.documents.emplace(each.key(),
                            Scope::Version{.number = numbers[0], .position = numbers[1]});
  }
  scope.first = read.number_or("first", 1);
  scope.last_said = read.number_or("last_said", last_position);
  if (read.has("topic")) scope.topic = read.text("topic");
  if (read.has("prefix")) scope.prefix = read.text("prefix");
}

void read_frames(Reader& read, Strand& strand) {
  for (const json::value& each : read.list("frames")) {
    const json::array* array = each.if_array();
    if (array == nullptr || array->size() < 3 || array->size() > 4) return read.refuse("frames");
    Strand::Frame frame;
    const auto numbers =
        read.numbers("frames", json::array{(*array)[0], (*array)[1], (*array)[2]}, 3);
    frame.block = static_cast<int>(numbers[0]);
    frame.iteration = numbers[1];
    frame.order = numbers[2];
    if (array->size() == 4) {
      const json::object* object = (*array)[3].if_object();
      if (object == nullptr) return read.refuse("frames");
      Reader more(*object);
      const auto kind = std::find(kFrameKinds.begin(), kFrameKinds.end(), more.text("kind"));
      if (kind == kFrameKinds.end()) return read.refuse("frames");
      frame.kind = static_cast<Strand::Frame::Kind>(kind - kFrameKinds.begin());
      frame.chosen = static_cast<int>(more.number_or("chosen", -1));
      if (more.has("caller")) {
        Reader caller(more.members("caller"));
        read_scope(caller, frame.caller.emplace_back(), strand.last_position);
        if (!caller.wrong().empty()) read.refuse("frames");
      }
      if (!more.wrong().empty()) read.refuse("frames");
    }
    strand.frames.push_back(std::move(frame));
  }
}

void read_open(Reader& read, Strand& strand, std::int64_t steps_used) {
  if (!read.has("open")) return;
  Reader row(read.members("open"));
  Strand::Open open;
  open.order = row.number("order");
  open.instruction = row.index("at");
  open.visit = row.number("visit");
  open.attempt = row.number("attempt");
  open.failures = row.number("failures");
  open.status = row.word<model::StepStatus>("status");
  open.ordinal = row.number_or("ordinal", steps_used);
  if (row.has("role")) open.role = row.text("role");
  if (row.has("reason")) open.reason = row.word<model::StopReason>("reason");
  if (row.has("error")) open.error = row.text("error");
  open.judgements = row.list("judgements");
  open.profile = row.number_or("profile", 0);
  if (row.has("part")) open.part = row.text("part");
  open.parts = row.number_or("parts", 0);
  if (row.has("wrong")) open.wrong = row.text("wrong");
  if (row.has("wrong_why")) open.wrong_why = row.text("wrong_why");
  open.spent = row.spent("spent").value_or(Spent{});
  if (!row.wrong().empty()) read.refuse("open." + row.wrong());
  strand.open = std::move(open);
}

void read_strand(Reader& read, Strand& strand, std::int64_t steps_used, std::size_t depth);

void read_branch(Reader& read, Strand& branch, std::int64_t steps_used, std::size_t depth) {
  branch.number = read.index("branch");
  if (read.has("each")) branch.each_role = read.text("each");
  branch.done = read.has("done");
  branch.base = read.number("base");
  for (const json::value& order : read.list("said"))
    branch.said.push_back(read.number_in("said", order));
  branch.block_order = read.number("block_order");
  branch.block_iteration = read.number("block_iteration");
  branch.way = read.text("way");
  read_strand(read, branch, steps_used, depth);
}

void read_strand(Reader& read, Strand& strand, std::int64_t steps_used, std::size_t depth) {
  strand.round_start = read.number("round_start");
  strand.previous_round_start = read.number("previous_round_start");
  strand.last_position = read.number("last_position");
  strand.elapsed_ms = read.number("elapsed_ms");
  read_frames(read, strand);
  read_open(read, strand, steps_used);
  read_scope(read, strand, strand.last_position);
  for (const auto& each : read.members("visits"))
    strand.visits.emplace(read.index_in("visits", each.key()),
                          read.number_in("visits", each.value()));
  for (const auto& each : read.members("jumps"))
    strand.jumps.emplace(read.index_in("jumps", each.key()), read.number_in("jumps", each.value()));
  if (read.has("branches") && depth >= kMaxNesting) return read.refuse("branches");
  for (const json::value& each : read.list("branches")) {
    if (!each.is_object()) return read.refuse("branches");
    Reader branch(each.get_object());
    read_branch(branch, strand.branches.emplace_back(), steps_used, depth + 1);
    if (!branch.wrong().empty()) return read.refuse("branches." + branch.wrong());
  }
}

const Strand* find_open(const Strand& strand, std::int64_t order) {
  if (strand.open && strand.open->order == order) return &strand;
  for (const Strand& branch : strand.branches)
    if (const Strand* found = find_open(branch, order)) return found;
  return nullptr;
}

}  // namespace

std::int64_t Strand::iteration() const {
  for (auto frame = frames.rbegin(); frame != frames.rend(); ++frame)
    if (frame->kind == Frame::Kind::loop) return frame->iteration;
  return block_iteration;
}

std::int64_t Strand::key_of(std::int64_t position) const {
  if (number == 0 || position <= base) return position;
  const auto index = static_cast<std::size_t>(position - base - 1);
  return index < said.size() ? -said[index] : 0;
}

const Strand* State::strand_of(std::int64_t order) const {
  return find_open(*this, order);
}

Strand* State::strand_of(std::int64_t order) {
  return const_cast<Strand*>(std::as_const(*this).strand_of(order));
}

std::vector<const Strand*> State::open_strands() const {
  std::vector<const Strand*> found;
  each_strand([&](const Strand& strand) {
    if (strand.open) found.push_back(&strand);
  });
  return found;
}

std::set<std::int64_t> outputs_in_use(const State& state) {
  std::set<std::int64_t> used;
  const auto add = [&](const Scope& scope) {
    for (const auto& [name, order] : scope.outputs) used.insert(order);
  };
  state.each_strand([&](const Strand& strand) {
    add(strand);
    for (const Strand::Frame& frame : strand.frames)
      for (const Scope& caller : frame.caller) add(caller);
  });
  return used;
}

std::string State::to_text() const {
  json::object out;
  out["status"] = view(model::to_text(status));
  if (stop_reason) out["stop_reason"] = view(model::to_text(*stop_reason));
  if (!stop_text.empty()) out["stop_text"] = stop_text;
  put_strand(out, *this);
  if (resume_at) out["resume_at"] = *resume_at;
  out["round"] = round;
  out["last_order"] = last_order;
  out["steps_used"] = steps_used;
  if (commit_seq != 0) out["commit_seq"] = commit_seq;
  out["spent"] = triple(spent);
  if (counts_from != 1) out["counts_from"] = counts_from;
  put_map(out, "roles_spent", roles_spent, [](const RoleSpent& each) -> json::value {
    return json::array{each.steps, each.spent.prompt_tokens, each.spent.completion_tokens,
                       each.spent.cost_nano};
  });
  if (!played.empty()) {
    json::array roles;
    for (const std::string& role : played) roles.emplace_back(role);
    out["played"] = std::move(roles);
  }
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
  if (read.has("resume_at")) state.resume_at = read.index("resume_at");
  state.round = read.number("round");
  state.last_order = read.number("last_order");
  state.steps_used = read.number("steps_used");
  state.commit_seq = read.number_or("commit_seq", 0);
  // A state of 0.1.0-pre.1 has no sums: they begin with what comes.
  const auto spent = read.spent("spent");
  state.spent = spent.value_or(Spent{});
  state.counts_from = read.number_or("counts_from", spent ? 1 : state.last_order + 1);
  for (const auto& each : read.members("roles_spent")) {
    const auto numbers = read.numbers("roles_spent", each.value(), 4);
    state.roles_spent.emplace(each.key(), RoleSpent{.steps = numbers[0],
                                                    .spent = {.prompt_tokens = numbers[1],
                                                              .completion_tokens = numbers[2],
                                                              .cost_nano = numbers[3]}});
  }
  for (const json::value& role : read.list("played")) {
    if (!role.is_string()) return invalid("played");
    state.played.emplace(role.get_string());
  }
  read_strand(read, state, state.steps_used, 0);
  const json::value* limits = object->if_contains("limits");
  if (limits == nullptr) return invalid("limits");
  auto read_limits = Limits::from_json(*limits);
  if (!read_limits) return read_limits.error().in("not a machine state: limits");
  state.limits = *std::move(read_limits);
  if (!read.wrong().empty()) return invalid(read.wrong());
  return state;
}

}  // namespace tertulia::flow
