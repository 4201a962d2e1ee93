// Blocks that are more than a loop: turns of a discuss, branches of a parallel, called flows.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/random.h"
#include "flow/walk.h"

namespace tertulia::flow {

using model::ResultType;
using model::StopReason;
using Frame = Strand::Frame;

namespace {

template <class Key>
void add_differences(std::map<Key, std::int64_t>& into, const std::map<Key, std::int64_t>& before,
                     const std::map<Key, std::int64_t>& after) {
  for (const auto& [key, count] : after) {
    const auto old = before.find(key);
    const std::int64_t more = count - (old == before.end() ? 0 : old->second);
    if (more != 0) into[key] += more;
  }
}

// The iterations, turns and branches of these frames, behind the way that led to them.
std::string way_of(const Strand& strand) {
  std::string way = strand.way;
  for (const Frame& frame : strand.frames) {
    if (frame.kind != Frame::Kind::loop && frame.kind != Frame::Kind::discuss) continue;
    if (!way.empty()) way += '.';
    way += std::to_string(frame.iteration);
  }
  return way;
}

}  // namespace

std::string execution_path(const Program& program, const Strand& strand) {
  if (!strand.open) return {};
  const std::string way = way_of(strand);
  return fmt::format("{}{}{}/{}",
                     program.steps[static_cast<std::size_t>(strand.open->instruction)].path,
                     way.empty() ? "" : "#", way, strand.open->visit);
}

void Walk::close_frame(Strand& strand, Closing closing, std::string_view why, json::value cause) {
  const Frame frame = std::move(strand.frames.back());
  strand.frames.pop_back();
  if (frame.kind == Frame::Kind::loop) closing.data["iterations"] = frame.iteration;
  if (frame.kind == Frame::Kind::discuss) closing.data["turns"] = frame.iteration;
  if (!why.empty()) closing.data[why] = std::move(cause);
  mark_branch(strand, closing);
  emit(CloseRow{.order = frame.order, .attempt = 1, .closing = std::move(closing)});
}

int Walk::leave_block(Closing closing) {
  const Frame& frame = strand_->frames.back();
  const int index = frame.block;
  const std::int64_t order = frame.order;
  // The block's own goto stands on the block's own row.
  const int next = take_jump(index, step(index).next, closing);
  const bool jumps = closing.loop_check_result.value_or(false);
  close_frame(*strand_, std::move(closing));
  return landed(jumps, index, next, order);
}

// ---- discuss -----------------------------------------------------------------------------------

int Walk::perform(int index, const Discuss&) {
  const OpenRow row = next_row(index);
  ++quiet_rows_;
  emit(row);
  strand_->frames.push_back(
      {.block = index, .order = row.order, .kind = Frame::Kind::discuss, .caller = {}});
  return next_turn(index);
}

int Walk::next_turn(int index) {
  const auto& discuss = std::get<Discuss>(step(index).step);
  Frame& frame = strand_->frames.back();
  ++frame.iteration;
  if (discuss.order == Discuss::Order::moderator) return discuss.choice;
  frame.chosen = chosen_by_order(discuss, frame);
  return discuss.turn;
}

int Walk::chosen_by_order(const Discuss& discuss, const Frame& frame) const {
  const auto count = static_cast<std::int64_t>(discuss.among.size());
  const std::int64_t turn = frame.iteration - 1;
  switch (discuss.order) {
    case Discuss::Order::fixed:
      return static_cast<int>(turn % count);
    case Discuss::Order::round_robin:
      return static_cast<int>((turn % count + turn / count) % count);
    case Discuss::Order::moderator:
      return static_cast<int>((frame.chosen + 1) % count);
    case Discuss::Order::random:
      break;
  }
  if (count == 1) return 0;
  base::Random random(record_.seed(),
                      fmt::format("{}#{}/turn", step(frame.block).path, way_of(*strand_)));
  // Anyone but the one who had the last turn.
  if (frame.chosen < 0) return static_cast<int>(random.below(static_cast<std::uint64_t>(count)));
  const auto other = static_cast<int>(random.below(static_cast<std::uint64_t>(count - 1)));
  return other < frame.chosen ? other : other + 1;
}

// ---- parallel ----------------------------------------------------------------------------------

int Walk::perform(int index, const Parallel& parallel) {
  const OpenRow row = next_row(index);
  ++quiet_rows_;
  emit(row);
  strand_->frames.push_back(
      {.block = index, .order = row.order, .kind = Frame::Kind::parallel, .caller = {}});
  fork(strand_->frames.back(), parallel);
  Strand& own = *strand_;
  for (std::size_t i = 0; !is_unwinding() && i < own.branches.size(); ++i) {
    const std::size_t entry = parallel.each.empty() ? i : 0;
    go(own.branches[i], parallel.branches[entry]);
  }
  if (over_) return kRest;
  if (returned_) {
    if (returned_->strand != strand_) return kRest;
    return std::exchange(returned_, std::nullopt)->next;
  }
  for (const Strand& branch : own.branches)
    if (!branch.done) return kRest;
  return join();
}

void Walk::fork(const Frame& frame, const Parallel& parallel) {
  const Strand& own = *strand_;
  Strand branch;
  static_cast<Scope&>(branch) = own;
  branch.round_start = own.round_start;
  branch.previous_round_start = own.previous_round_start;
  branch.last_position = own.last_position;
  branch.elapsed_ms = own.elapsed_ms;
  branch.visits = own.visits;
  branch.jumps = own.jumps;
  branch.base = own.number == 0 ? own.last_position : own.base;
  branch.said = own.said;
  branch.block_order = frame.order;
  branch.block_iteration = own.iteration();
  const std::string way = way_of(own);
  const std::size_t count = parallel.each.empty() ? parallel.branches.size() : parallel.each.size();
  std::vector<Strand> branches(count, branch);
  for (std::size_t i = 0; i < count; ++i) {
    branches[i].number = static_cast<int>(i) + 1;
    branches[i].each_role = parallel.each.empty() ? own.each_role : parallel.each[i];
    branches[i].way = fmt::format("{}{}b{}", way, way.empty() ? "" : ".", i + 1);
  }
  strand_->branches = std::move(branches);
}

int Walk::join() {
  const std::size_t count = strand_->branches.size();
  gather(*strand_);
  Closing closing = completed(ResultType::success);
  closing.data["branches"] = count;
  return leave_block(std::move(closing));
}

void Walk::gather(Strand& strand) {
  Strand* const outer = std::exchange(strand_, &strand);
  const auto& parallel = std::get<Parallel>(step(strand.frames.back().block).step);
  const std::vector<Strand> branches = std::exchange(strand_->branches, {});
  const Strand before = *strand_;
  std::int64_t offset = 0;
  if (!parallel.each.empty()) {
    // The outputs of an earlier pass are not this one's.
    for (const Strand& branch : branches)
      for (const auto& output : branch.outputs) {
        const auto old = before.outputs.find(output.first);
        if (old != before.outputs.end() && old->second == output.second) continue;
        const std::string earlier = output.first + '#';
        std::erase_if(strand_->outputs,
                      [&](const auto& each) { return each.first.starts_with(earlier); });
      }
  }
  for (const Strand& branch : branches) {
    merge(before, branch, offset, !parallel.each.empty());
    offset += branch.last_position - before.last_position;
  }
  strand_->last_position = before.last_position + offset;
  if (strand_->number == 0) {
    // Readers see what was said, in branch order.
    std::int64_t position = before.last_position;
    for (const Strand& branch : branches)
      for (const std::int64_t order : branch.said) {
        record_.place(order, ++position);
        emit(PlaceSaid{.order = order, .position = position});
      }
  }
  strand_ = outer;
}

void Walk::merge(const Strand& before, const Strand& branch, std::int64_t offset, bool is_each) {
  merge_scope(before, branch, offset, is_each);
  add_differences(strand_->visits, before.visits, branch.visits);
  add_differences(strand_->jumps, before.jumps, branch.jumps);
  strand_->elapsed_ms = std::max(strand_->elapsed_ms, branch.elapsed_ms);
  if (strand_->number != 0)
    strand_->said.insert(strand_->said.end(),
                         branch.said.begin() + static_cast<std::ptrdiff_t>(before.said.size()),
                         branch.said.end());
}

void Walk::merge_scope(const Strand& before, const Strand& branch, std::int64_t offset,
                       bool is_each) {
  const auto moved = [&](std::int64_t position) {
    return position > before.last_position ? position + offset : position;
  };
  for (const auto& [name, value] : branch.variables) {
    const auto old = before.variables.find(name);
    if (old == before.variables.end() || !base::equal(old->second, value))
      strand_->variables.insert_or_assign(name, value);
  }
  for (const auto& [name, order] : branch.outputs) {
    const auto old = before.outputs.find(name);
    if (old != before.outputs.end() && old->second == order) continue;
    strand_->outputs.insert_or_assign(is_each ? fmt::format("{}#{}", name, branch.number) : name,
                                      order);
  }
  for (const auto& [role, spoken] : branch.spoken) {
    const auto old = before.spoken.find(role);
    const std::int64_t more = spoken.count - (old == before.spoken.end() ? 0 : old->second.count);
    if (more == 0) continue;
    Scope::Spoken& joined = strand_->spoken[role];
    joined.count += more;
    joined.last = std::max(joined.last, moved(spoken.last));
  }
  for (const auto& [name, version] : branch.documents) {
    const auto old = before.documents.find(name);
    if (old != before.documents.end() && old->second.number == version.number) continue;
    strand_->documents[name] = {.number = version.number, .position = moved(version.position)};
  }
  if (branch.last_said > before.last_position) strand_->last_said = moved(branch.last_said);
}

Strand* Walk::parent_of(const Strand& strand) {
  Strand* parent = nullptr;
  state_.each_strand([&](Strand& each) {
    for (Strand& branch : each.branches)
      if (&branch == &strand) parent = &each;
  });
  return parent;
}

// ---- call --------------------------------------------------------------------------------------

int Walk::perform(int index, const Call& call) {
  const SessionFacts facts = this->facts();
  const std::string outer(strand_->topic ? *strand_->topic : std::string(record_.topic()));
  const Scene scene{.facts = &facts, .topic = outer};
  Scope inner;
  inner.prefix = call.prefix;
  inner.first = strand_->last_position + 1;
  inner.topic = call.topic.empty() ? call.default_topic : expand(call.topic, scene);
  inner.variables.insert(call.initial.begin(), call.initial.end());
  for (const auto& [name, argument] : call.variables)
    inner.variables.insert_or_assign(
        name, argument.literal ? *argument.literal : json::value(expand(argument.text, scene)));

  const OpenRow row = next_row(index);
  ++quiet_rows_;
  emit(row);
  Frame frame{.block = index, .order = row.order, .kind = Frame::Kind::call, .caller = {}};
  frame.caller.push_back(std::exchange(static_cast<Scope&>(*strand_), std::move(inner)));
  strand_->frames.push_back(std::move(frame));
  return call.entry;
}

int Walk::return_from_call() {
  Frame& frame = strand_->frames.back();
  const Instruction& at = step(frame.block);
  const auto& call = std::get<Call>(at.step);
  Closing closing = completed(ResultType::success);
  const std::int64_t order = frame.order;
  if (!call.result.empty()) {
    const json::value* output = facts().output(call.result);
    json::value result = output != nullptr ? *output : json::value(nullptr);
    closing.data["output"] = result;
    record_.put_out(order, std::move(result));
  }
  // The caller's own messages and these; who spoke in the call is known, so that a context can name
  // it.
  Scope caller = std::move(frame.caller.front());
  for (auto& [role, spoken] : strand_->spoken) {
    Scope::Spoken& known = caller.spoken[role];
    known.count += spoken.count;
    known.last = std::max(known.last, spoken.last);
  }
  static_cast<Scope&>(*strand_) = std::move(caller);
  if (!call.result.empty() && !at.name.empty()) strand_->outputs[at.name] = order;
  return leave_block(std::move(closing));
}

}  // namespace tertulia::flow
