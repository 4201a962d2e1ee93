#include "llm/schema_filler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/json_members.h"
#include "base/utf8.h"
#include "llm/matching_text.h"
#include "llm/rehearsal_words.h"

namespace tertulia::llm {
namespace {

namespace json = base::json;
using Filled = base::Result<json::value>;

// Beyond the first depth only what is required is filled, so that recursive schemas end; a schema
// that requires itself fails at the second.
constexpr int kOptionalDepth = 6;
constexpr int kMaxDepth = 32;
constexpr std::int64_t kMostItems = 1000;
constexpr std::int64_t kMostCharacters = 100'000;

std::int64_t count_or(const json::object& schema, std::string_view key, std::int64_t otherwise) {
  const auto number = base::number_at(schema, key);
  return number ? static_cast<std::int64_t>(std::clamp(*number, 0.0, 1e9)) : otherwise;
}

std::size_t characters(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) (void)base::next_code_point(text, at);
  return count;
}

std::string_view first_characters(std::string_view text, std::int64_t most) {
  std::size_t at = 0;
  for (std::int64_t count = 0; at < text.size() && count < most; ++count)
    (void)base::next_code_point(text, at);
  return text.substr(0, at);
}

bool is_of_type(const json::value& value, std::string_view type) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_bool();
  if (type == "string") return value.is_string();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  if (type == "number") return value.is_number();
  if (type != "integer" || !value.is_number()) return false;
  return !value.is_double() || std::trunc(value.get_double()) == value.get_double();
}

class Filler final {
 public:
  Filler(const json::object& root, std::string_view language, base::Random& random)
      : root_(root), language_(language), random_(random) {}

  Filled fill(const json::object& schema, const std::string& place, int depth) {
    if (depth > kMaxDepth) return fails(place, "it contains itself without end");
    if (const json::value* const reference = schema.if_contains("$ref"))
      return fill_reference(*reference, place, depth);
    if (const json::value* const value = schema.if_contains("const")) return *value;
    if (const json::value* const values = schema.if_contains("enum"))
      return fill_enum(schema, *values, place);
    if (const json::value* const branches = schema.if_contains("anyOf"))
      return fill_any(schema, *branches, place, depth);
    const std::string type = choose_type(schema);
    if (type == "object") return fill_object(schema, place, depth);
    if (type == "array") return fill_array(schema, place, depth);
    if (type == "integer") return fill_integer(schema, place);
    if (type == "number") return fill_number(schema, place);
    if (type == "boolean") return json::value(random_.below(2) == 1);
    if (type == "null") return json::value(nullptr);
    if (type == "string") return fill_string(schema, place);
    return fails(place, fmt::format("type {} is not known", type));
  }

 private:
  static base::Error fails(std::string_view place, std::string_view why) {
    return {.code = base::Code::invalid,
            .message = fmt::format("rehearsal cannot fill the output schema at {}: {}",
                                   place.empty() ? "its root" : place, why)};
  }

  Filled fill_reference(const json::value& reference, const std::string& place, int depth) {
    if (!reference.is_string() || !reference.get_string().starts_with("#"))
      return fails(place, "$ref must point into the schema itself (#/...)");
    const std::string_view text(reference.get_string().data(), reference.get_string().size());
    // Looked up through a copy of the root's handle: at_pointer wants a value.
    if (root_value_.is_null()) root_value_ = root_;
    const json::value* const target = base::at_pointer(root_value_, text.substr(1));
    if (target == nullptr || !target->is_object())
      return fails(place, fmt::format("$ref {} points to nothing", text));
    return fill(target->get_object(), place, depth + 1);
  }

  Filled fill_enum(const json::object& schema, const json::value& values,
                   const std::string& place) {
    std::vector<const json::value*> choices;
    if (values.is_array())
      for (const json::value& value : values.get_array())
        if (fits_type(schema, value)) choices.push_back(&value);
    if (choices.empty()) return fails(place, "enum allows nothing of the type");
    return *choices[static_cast<std::size_t>(random_.below(choices.size()))];
  }

  static bool fits_type(const json::object& schema, const json::value& value) {
    const json::value* const type = schema.if_contains("type");
    if (type == nullptr) return true;
    if (type->is_string()) return is_of_type(value, std::string_view(type->get_string()));
    if (!type->is_array()) return true;
    return std::any_of(type->get_array().begin(), type->get_array().end(), [&](const auto& one) {
      return one.is_string() && is_of_type(value, std::string_view(one.get_string()));
    });
  }

  // One branch together with what stands beside anyOf.
  Filled fill_any(const json::object& schema, const json::value& branches, const std::string& place,
                  int depth) {
    if (!branches.is_array() || branches.get_array().empty())
      return fails(place, "anyOf has no branch");
    const json::array& all = branches.get_array();
    const auto first = static_cast<std::size_t>(random_.below(all.size()));
    Filled filled = fails(place, "anyOf has no branch that is an object");
    for (std::size_t i = 0; i < all.size(); ++i) {
      const json::value& branch = all[(first + i) % all.size()];
      if (!branch.is_object()) continue;
      filled = fill(merged(schema, branch.get_object()), place, depth + 1);
      if (filled) break;
    }
    return filled;
  }

  static json::object merged(const json::object& schema, const json::object& branch) {
    json::object out = schema;
    out.erase("anyOf");
    for (const auto& member : branch) {
      json::value* const present = out.if_contains(member.key());
      if (present != nullptr && member.key() == "properties" && present->is_object() &&
          member.value().is_object()) {
        for (const auto& property : member.value().get_object())
          present->get_object().insert_or_assign(property.key(), property.value());
      } else if (present != nullptr && member.key() == "required" && present->is_array() &&
                 member.value().is_array()) {
        for (const json::value& name : member.value().get_array())
          present->get_array().push_back(name);
      } else {
        out.insert_or_assign(member.key(), member.value());
      }
    }
    return out;
  }

  std::string choose_type(const json::object& schema) {
    if (const json::value* const type = schema.if_contains("type")) {
      if (type->is_string()) return std::string(type->get_string());
      if (type->is_array() && !type->get_array().empty()) {
        const json::array& types = type->get_array();
        const json::value& one = types[static_cast<std::size_t>(random_.below(types.size()))];
        return one.is_string() ? std::string(one.get_string()) : std::string();
      }
    }
    if (schema.contains("properties") || schema.contains("required")) return "object";
    if (schema.contains("items") || schema.contains("minItems")) return "array";
    if (schema.contains("minimum") || schema.contains("maximum")) return "integer";
    return "string";
  }

  Filled fill_object(const json::object& schema, const std::string& place, int depth) {
    json::object out;
    static const json::object kNone;
    const json::value* const given = schema.if_contains("properties");
    const json::object& properties =
        given != nullptr && given->is_object() ? given->get_object() : kNone;
    const json::value* const required = schema.if_contains("required");
    const auto is_required = [&](std::string_view name) {
      return required != nullptr && required->is_array() &&
             std::any_of(required->get_array().begin(), required->get_array().end(),
                         [&](const json::value& one) {
                           return one.is_string() && one.get_string() == name;
                         });
    };
    for (const auto& property : properties) {
      const std::string_view name(property.key().data(), property.key().size());
      if (depth >= kOptionalDepth && !is_required(name)) continue;
      auto value = fill_property(property.value(), fmt::format("{}/{}", place, name), depth);
      if (value)
        out.emplace(name, std::move(value).value());
      else if (is_required(name))
        return value;
    }
    if (required == nullptr || !required->is_array()) return json::value(std::move(out));
    for (const json::value& name : required->get_array()) {
      if (!name.is_string() || out.contains(name.get_string())) continue;
      const std::string inner = fmt::format("{}/{}", place, std::string_view(name.get_string()));
      const json::value* const others = schema.if_contains("additionalProperties");
      auto value = fill_property(others == nullptr ? json::value(true) : *others, inner, depth);
      if (!value) return value;
      out.emplace(name.get_string(), std::move(value).value());
    }
    return json::value(std::move(out));
  }

  // A schema may be just true (anything) or false (nothing).
  Filled fill_property(const json::value& schema, const std::string& place, int depth) {
    if (schema.is_object()) return fill(schema.get_object(), place, depth + 1);
    if (schema.is_bool() && schema.get_bool())
      return json::value(rehearsal_phrase(language_, random_));
    return fails(place, "nothing is allowed there");
  }

  Filled fill_array(const json::object& schema, const std::string& place, int depth) {
    const std::int64_t least = count_or(schema, "minItems", 0);
    const std::int64_t most = count_or(schema, "maxItems", std::max<std::int64_t>(least, 1) + 2);
    if (least > most) return fails(place, "minItems is above maxItems");
    if (least > kMostItems) return fails(place, fmt::format("more than {} items", kMostItems));
    const std::int64_t low =
        depth >= kOptionalDepth ? least : std::min(std::max<std::int64_t>(least, 1), most);
    const std::int64_t high = depth >= kOptionalDepth ? least : std::min(most, low + 2);
    const auto count =
        low + static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(high - low) + 1));
    const json::value* const items = schema.if_contains("items");
    const json::value anything(true);
    json::array out;
    for (std::int64_t i = 0; i < count; ++i) {
      auto value = fill_property(items == nullptr ? anything : *items,
                                 fmt::format("{}/{}", place, i), depth);
      if (!value && least == 0) break;  // an empty list is valid then
      if (!value) return value;
      out.push_back(std::move(value).value());
    }
    return json::value(std::move(out));
  }

  Filled fill_integer(const json::object& schema, const std::string& place) {
    constexpr double kExact = 9007199254740992.0;
    const auto [least, most] = range(schema, 10);
    const double low = std::ceil(std::max(least, -kExact));
    const double high = std::floor(std::min(most, kExact));
    if (low > high) return fails(place, "no integer lies between minimum and maximum");
    const auto span = static_cast<std::uint64_t>(high - low) + 1;
    return json::value(static_cast<std::int64_t>(low) +
                       static_cast<std::int64_t>(random_.below(span)));
  }

  Filled fill_number(const json::object& schema, const std::string& place) {
    const auto [least, most] = range(schema, 10);
    if (least > most) return fails(place, "minimum is above maximum");
    const double drawn = std::clamp(least + random_.unit() * (most - least), least, most);
    const double rounded = std::round(drawn * 100) / 100;  // reads better, where it still fits
    return json::value(rounded >= least && rounded <= most ? rounded : drawn);
  }

  static std::pair<double, double> range(const json::object& schema, double width) {
    const auto least = base::number_at(schema, "minimum");
    const auto most = base::number_at(schema, "maximum");
    if (least && most) return {*least, *most};
    if (least) return {*least, *least + width};
    if (most) return {*most - width, *most};
    return {0, width};
  }

  Filled fill_string(const json::object& schema, const std::string& place) {
    const std::int64_t least = count_or(schema, "minLength", 0);
    const std::int64_t most = count_or(schema, "maxLength", kMostCharacters);
    if (least > kMostCharacters)
      return fails(place, fmt::format("more than {} characters", kMostCharacters));
    if (least > most) return fails(place, "minLength is above maxLength");
    const json::value* const pattern = schema.if_contains("pattern");
    if (pattern != nullptr && pattern->is_string())
      return fill_pattern(std::string_view(pattern->get_string()), least, most, place);
    std::string text = rehearsal_phrase(language_, random_);
    auto length = static_cast<std::int64_t>(characters(text));
    while (length < least) {
      const std::string more = "; " + rehearsal_phrase(language_, random_);
      length += static_cast<std::int64_t>(characters(more));
      text += more;
    }
    return json::value(first_characters(text, most));
  }

  Filled fill_pattern(std::string_view pattern, std::int64_t least, std::int64_t most,
                      const std::string& place) {
    constexpr int kTries = 64;
    for (int i = 0; i < kTries; ++i) {
      const auto text = matching_text(pattern, random_);
      if (!text) return fails(place, fmt::format("no text is known for the pattern {}", pattern));
      const auto length = static_cast<std::int64_t>(characters(*text));
      if (length >= least && length <= most) return json::value(*text);
    }
    return fails(place, fmt::format("no text of {} to {} characters was found for the pattern {}",
                                    least, most, pattern));
  }

  const json::object& root_;
  json::value root_value_;  // made when a $ref first asks
  std::string_view language_;
  base::Random& random_;
};

}  // namespace

Filled fill_schema(const json::object& schema, std::string_view language, base::Random& random) {
  return Filler(schema, language, random).fill(schema, "", 0);
}

}  // namespace tertulia::llm
