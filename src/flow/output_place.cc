#include "flow/output_place.h"

#include <algorithm>
#include <cmath>

namespace tertulia::flow {
namespace {

using Test = Condition::Test;

// Whether the schema's `type` lets such a value be; so does a schema without one.
template <class Is>
bool allows(const json::object& schema, const Is& is) {
  const json::value* type = schema.if_contains("type");
  if (type == nullptr) return true;
  if (type->is_string()) return is(std::string_view(type->get_string()));
  return std::any_of(
      type->get_array().begin(), type->get_array().end(),
      [&](const json::value& each) { return is(std::string_view(each.get_string())); });
}

bool may_equal(const json::object& schema, const json::value& value) {
  if (!allows(schema, [&](std::string_view type) { return has_type(value, type); })) return false;
  if (const json::value* only = schema.if_contains("const"); only && !base::equal(*only, value))
    return false;
  if (const json::value* list = schema.if_contains("enum"))
    if (std::none_of(list->get_array().begin(), list->get_array().end(),
                     [&](const json::value& each) { return base::equal(each, value); }))
      return false;
  if (!value.is_number()) return true;
  const double number = value.to_number<double>();
  const json::value* least = schema.if_contains("minimum");
  const json::value* most = schema.if_contains("maximum");
  return (least == nullptr || number >= least->to_number<double>()) &&
         (most == nullptr || number <= most->to_number<double>());
}

bool may_be_ordered(const json::object& schema, Test test, const json::value& operand) {
  const bool wants_number = operand.is_number();
  if (!wants_number && !operand.is_string()) return false;
  if (!allows(schema, [&](std::string_view type) {
        return wants_number ? type == "integer" || type == "number" : type == "string";
      }))
    return false;
  if (!wants_number) return true;
  const double bound = operand.to_number<double>();
  const json::value* least = schema.if_contains("minimum");
  const json::value* most = schema.if_contains("maximum");
  if (most != nullptr && test == Test::gt) return most->to_number<double>() > bound;
  if (most != nullptr && test == Test::gte) return most->to_number<double>() >= bound;
  if (least != nullptr && test == Test::lt) return least->to_number<double>() < bound;
  if (least != nullptr && test == Test::lte) return least->to_number<double>() <= bound;
  return true;
}

bool may_pass(const json::object& schema, Test test, const json::value& operand) {
  switch (test) {
    case Test::not_equals:
      return true;
    case Test::equals:
      // What was not produced is null.
      return operand.is_null() || may_equal(schema, operand);
    case Test::in:
      return !operand.is_array() ||
             std::any_of(operand.get_array().begin(), operand.get_array().end(),
                         [&](const json::value& each) {
                           return each.is_null() || may_equal(schema, each);
                         });
    default:
      return may_be_ordered(schema, test, operand);
  }
}

// The first part of a pointer, unescaped; takes it off.
std::string take_part(std::string_view& pointer) {
  pointer.remove_prefix(1);
  std::string part;
  for (; !pointer.empty() && pointer.front() != '/'; pointer.remove_prefix(1)) {
    const bool escaped = pointer.front() == '~' && pointer.size() > 1;
    if (escaped) pointer.remove_prefix(1);
    part += !escaped ? pointer.front() : pointer.front() == '1' ? '/' : '~';
  }
  return part;
}

}  // namespace

bool has_type(const json::value& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  if (type == "null") return value.is_null();
  if (type == "number") return value.is_number();
  if (type != "integer" || !value.is_number()) return false;
  return !value.is_double() || std::trunc(value.get_double()) == value.get_double();
}

OutputPlace::OutputPlace(const json::object& schema, std::string_view pointer) : root_(schema) {
  follow(schema, pointer);
}

const json::object* OutputPlace::target_of(const json::value& reference) const {
  std::string_view pointer = reference.get_string();
  pointer.remove_prefix(1);  // "#"
  const json::object* at = &root_;
  const json::value* value = nullptr;
  while (!pointer.empty() && at != nullptr) {
    const std::string part = take_part(pointer);
    value = at->if_contains(part);
    // A list of schemas, by number.
    if (value != nullptr && value->is_array() && !pointer.empty())
      value = base::at_pointer(*value, "/" + take_part(pointer));
    at = value == nullptr ? nullptr : value->if_object();
  }
  return at;
}

void OutputPlace::follow(const json::object& schema, std::string_view pointer) {
  if (const json::value* reference = schema.if_contains("$ref")) {
    if (const json::object* target = target_of(*reference)) {
      follow(*target, pointer);
    } else {
      open_ = true;
    }
    return;
  }
  const json::value* any = schema.if_contains("anyOf");
  if (any != nullptr)
    for (const json::value& branch : any->get_array()) follow(branch.get_object(), pointer);
  if (pointer.empty()) {
    if (any == nullptr) ends_.push_back(&schema);
    return;
  }
  const std::string part = take_part(pointer);
  const json::value* properties = schema.if_contains("properties");
  const json::value* more = schema.if_contains("additionalProperties");
  const json::value* items = schema.if_contains("items");
  const bool describes_object = properties != nullptr || more != nullptr;
  missing_ = part;
  if (allows(schema, [](std::string_view type) { return type == "object"; })) {
    const json::value* property =
        properties != nullptr ? properties->get_object().if_contains(part) : nullptr;
    if (property != nullptr) {
      follow(property->get_object(), pointer);
    } else if (describes_object) {
      open_ = open_ || (more != nullptr && more->is_bool() && more->get_bool());
      if (properties != nullptr)
        for (const auto& each : properties->get_object()) known_.emplace_back(each.key());
    } else if (items == nullptr && any == nullptr) {
      open_ = true;
    }
  }
  const bool is_number = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
  if (is_number && !describes_object &&
      allows(schema, [](std::string_view type) { return type == "array"; })) {
    if (items != nullptr) {
      follow(items->get_object(), pointer);
    } else if (any == nullptr) {
      open_ = true;
    }
  }
}

bool OutputPlace::may_hold(Test test, const json::value& operand) const {
  return open_ || std::any_of(ends_.begin(), ends_.end(), [&](const json::object* schema) {
           return may_pass(*schema, test, operand);
         });
}

}  // namespace tertulia::flow
