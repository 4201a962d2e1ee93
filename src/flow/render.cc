#include "flow/render.h"

#include <charconv>

namespace tertulia::flow {
namespace {

// A step into a value: a member of an object, or an element of an array by its number.
const json::value* member(const json::value& value, std::string_view key) {
  if (const auto* object = value.if_object()) return object->if_contains(key);
  if (const auto* array = value.if_array()) {
    std::size_t index = 0;
    const auto [end, failed] = std::from_chars(key.data(), key.data() + key.size(), index);
    if (failed == std::errc() && end == key.data() + key.size()) return array->if_contains(index);
  }
  return nullptr;
}

std::string shown(const json::value* value) {
  if (value == nullptr || value->is_null()) return {};
  if (const auto* text = value->if_string()) return std::string(*text);
  return base::to_text(*value);
}

std::string at_path(const json::value* value, const std::vector<std::string>& path) {
  for (const std::string& key : path)
    if (value != nullptr) value = member(*value, key);
  return shown(value);
}

std::string value_of(const Reference& reference, const Scene& scene) {
  const SessionFacts& facts = *scene.facts;
  switch (reference.head) {
    case Reference::Head::topic:
      return std::string(scene.topic);
    case Reference::Head::round:
      return std::to_string(facts.round());
    case Reference::Head::iteration:
      return std::to_string(facts.iteration());
    case Reference::Head::role_name:
      return std::string(scene.role_name);
    case Reference::Head::to_name:
      return std::string(scene.to_name);
    case Reference::Head::each_name:
      return std::string(scene.each_name);
    case Reference::Head::last:
      return std::string(facts.last_message({}).value_or(""));
    case Reference::Head::variable:
      return at_path(facts.variable(reference.name), reference.path);
    case Reference::Head::output:
      return at_path(facts.output(reference.name), reference.path);
    case Reference::Head::document:
      return std::string(facts.document(reference.name).value_or(""));
  }
  return {};
}

}  // namespace

std::optional<std::string_view> SessionFacts::last_message(std::string_view role) const {
  if (role.empty()) return record_->message(strand_->key_of(strand_->last_said));
  const auto spoken = strand_->spoken.find(role);
  return spoken == strand_->spoken.end() ? std::nullopt
                                         : record_->message(strand_->key_of(spoken->second.last));
}

const json::value* SessionFacts::output(std::string_view step) const {
  const auto order = strand_->outputs.find(step);
  return order == strand_->outputs.end() ? nullptr : record_->output(order->second);
}

const json::value* SessionFacts::variable(std::string_view name) const {
  const auto value = strand_->variables.find(name);
  return value == strand_->variables.end() ? nullptr : &value->second;
}

std::optional<std::string_view> SessionFacts::document(std::string_view name) const {
  const auto version = strand_->documents.find(name);
  return version == strand_->documents.end()
             ? std::nullopt
             : record_->message(strand_->key_of(version->second.position));
}

std::string expand(const Text& text, const Scene& scene) {
  std::string expanded;
  for (const Text::Piece& piece : text.pieces())
    expanded += piece.is_reference ? value_of(piece.reference, scene) : piece.literal;
  return expanded;
}

}  // namespace tertulia::flow
