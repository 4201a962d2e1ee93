#include "engine/session_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace tertulia::engine {

void SessionRecord::add(flow::Said said) {
  if (said.position < 0) {
    const std::int64_t key = said.position;
    unplaced_.insert_or_assign(key, std::move(said));
    return;
  }
  recent_bytes_ += said.text.size();
  recent_.push_back(std::move(said));
  while (recent_.size() > 1 && (recent_.size() > kMaxRecent || recent_bytes_ > kMaxRecentBytes)) {
    recent_bytes_ -= recent_.front().text.size();
    recent_.pop_front();
  }
}

void SessionRecord::keep(const flow::Effect& effect) {
  if (const auto* say = std::get_if<flow::Say>(&effect))
    add({.position = say->position != 0 ? say->position : -say->order,
         .role = say->role,
         .text = say->text,
         .round = say->round,
         .document = say->document,
         .document_version = say->document_version});
  if (const auto* placed = std::get_if<flow::PlaceSaid>(&effect))
    place(placed->order, placed->position);
  if (const auto* close = std::get_if<flow::CloseRow>(&effect))
    if (const auto* output = close->closing.data.if_contains("output"))
      put_out(close->order, *output);
}

void SessionRecord::place(std::int64_t order, std::int64_t position) {
  auto placed = unplaced_.extract(-order);
  if (placed.empty()) return;
  placed.mapped().position = position;
  add(std::move(placed.mapped()));
}

void SessionRecord::put_out(std::int64_t order, base::json::value output) {
  outputs_.insert_or_assign(order, std::move(output));
}

void SessionRecord::keep_outputs(const flow::State& state) {
  if (outputs_.size() < 2) return;  // few are not worth the search
  const std::set<std::int64_t> used = flow::outputs_in_use(state);
  std::erase_if(outputs_, [&](const auto& each) { return !used.contains(each.first); });
}

std::optional<base::Error> SessionRecord::take_error() {
  return std::exchange(error_, {});
}

std::optional<std::string_view> SessionRecord::message(std::int64_t key) const {
  auto said = at(key);
  if (said) return (*said)->text;
  if (said.error().code != base::Code::not_found) error_ = said.error();
  return {};
}

const base::json::value* SessionRecord::output(std::int64_t order) const {
  const auto found = outputs_.find(order);
  return found == outputs_.end() ? nullptr : &found->second;
}

base::Result<const flow::Said*> SessionRecord::at(std::int64_t key) const {
  if (const auto unplaced = unplaced_.find(key); unplaced != unplaced_.end())
    return &unplaced->second;
  const std::int64_t position = key;
  if (!recent_.empty() && position >= recent_.front().position) {
    const auto index = static_cast<size_t>(position - recent_.front().position);
    if (index < recent_.size()) return &recent_[index];
  }
  const auto in_page = [&]() -> const flow::Said* {
    if (page_.empty() || position < page_.front().position) return nullptr;
    const auto index = static_cast<size_t>(position - page_.front().position);
    return index < page_.size() ? &page_[index] : nullptr;
  };
  if (const auto* said = in_page()) return said;
  if (position >= 1) {
    // Contexts walk back from the newest: the page ends at the position asked for.
    auto fetched = fetch_(std::max<std::int64_t>(1, position - kPage + 1), position);
    if (!fetched) return fetched.error();
    page_ = *std::move(fetched);
    if (const auto* said = in_page()) return said;
  }
  return base::Error{.code = base::Code::not_found,
                     .message = fmt::format("there is no message {}", position)};
}

}  // namespace tertulia::engine
