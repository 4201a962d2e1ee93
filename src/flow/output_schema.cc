// valijson does the validating, but for `pattern`: it hands patterns to std::regex, which recurses
// once a character and overflows the stack on a text of 50,000. So `pattern` is taken out of the
// schema that valijson gets, and checked here with RE2, by a walk over schema and value together.
// Inside anyOf a branch fits only if both agree, so each branch is compiled for itself as well.
#include "flow/output_schema.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <map>
#include <valijson/adapters/boost_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>
#include <vector>

#include "base/near_name.h"

namespace tertulia::flow {
namespace {

namespace json = base::json;

enum class Operand {
  type,
  schema,
  schemas,
  schema_map,
  texts,
  list,
  any,
  number,
  count,
  text,
  flag
};
struct Keyword {
  std::string_view name;
  Operand operand;
};
constexpr std::array<Keyword, 20> kKeywords = {
    Keyword{"type", Operand::type}, {"properties", Operand::schema_map},
    {"required", Operand::texts},   {"additionalProperties", Operand::flag},
    {"items", Operand::schema},     {"enum", Operand::list},
    {"const", Operand::any},        {"minimum", Operand::number},
    {"maximum", Operand::number},   {"minLength", Operand::count},
    {"maxLength", Operand::count},  {"minItems", Operand::count},
    {"maxItems", Operand::count},   {"pattern", Operand::text},
    {"anyOf", Operand::schemas},    {"$defs", Operand::schema_map},
    {"$ref", Operand::text},        {"title", Operand::text},
    {"description", Operand::text}, {"default", Operand::any}};

constexpr std::array<std::string_view, 7> kTypes = {"object", "array",   "string", "integer",
                                                    "number", "boolean", "null"};
constexpr int kMaxSchemaDepth = 32;

base::Error wrong(const std::string& pointer, std::string message) {
  return {.code = base::Code::invalid,
          .message = fmt::format("output schema, {}: {}", pointer.empty() ? "/" : pointer,
                                 std::move(message)),
          .detail = pointer};
}

std::string below(const std::string& pointer, std::string_view name) {
  std::string escaped;
  for (const char c : name) escaped += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return pointer + "/" + escaped;
}

std::unique_ptr<const RE2> compile_pattern(std::string_view pattern) {
  RE2::Options options;
  options.set_log_errors(false);
  return std::make_unique<const RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
}

// Goes through a schema, refuses what is not of the subset, and gathers its patterns.
class Check final {
 public:
  explicit Check(const json::object& root) : root_(root) {}

  base::Result<void> check(const json::value& value, const std::string& pointer, int depth = 0) {
    if (depth > kMaxSchemaDepth)
      return wrong(pointer, fmt::format("nested deeper than {}", kMaxSchemaDepth));
    const json::object* schema = value.if_object();
    if (schema == nullptr) return wrong(pointer, "expected a schema, a mapping");
    for (const auto& member : *schema) {
      const std::string_view name = member.key();
      const auto known = std::find_if(kKeywords.begin(), kKeywords.end(),
                                      [&](const Keyword& each) { return each.name == name; });
      const std::string at = below(pointer, name);
      if (known == kKeywords.end()) return wrong(at, unknown_words(name));
      if (auto good = check_operand(known->operand, member.value(), at, depth); !good) return good;
      if (name == "$ref") {
        if (auto good = check_reference(member.value(), at); !good) return good;
      }
      if (name == "pattern") {
        const auto regex = compile_pattern(member.value().get_string());
        if (!regex->ok()) return wrong(at, "not a regular expression (RE2): " + regex->error());
        has_patterns_ = true;
      }
    }
    return {};
  }
  [[nodiscard]] bool has_patterns() const { return has_patterns_; }

 private:
  static std::string unknown_words(std::string_view name) {
    std::vector<std::string> names;
    for (const Keyword& each : kKeywords) names.emplace_back(each.name);
    const std::string near = base::near_name(name, names);
    return near.empty() ? fmt::format("'{}' is not supported; supported are {}", name,
                                      fmt::join(names, ", "))
                        : fmt::format("'{}' is not supported; did you mean '{}'?", name, near);
  }

  base::Result<void> check_operand(Operand operand, const json::value& value, const std::string& at,
                                   int depth) {
    switch (operand) {
      case Operand::any:
        return {};
      case Operand::text:
        return value.is_string() ? base::Result<void>() : wrong(at, "expected a text");
      case Operand::flag:
        return value.is_bool() ? base::Result<void>() : wrong(at, "expected true or false");
      case Operand::number:
        return value.is_number() ? base::Result<void>() : wrong(at, "expected a number");
      case Operand::count:
        return value.is_int64() && value.get_int64() >= 0
                   ? base::Result<void>()
                   : wrong(at, "expected a count, 0 or more");
      case Operand::list:
        return value.is_array() && !value.get_array().empty()
                   ? base::Result<void>()
                   : wrong(at, "expected a list that is not empty");
      case Operand::type:
        return check_type(value, at);
      case Operand::texts:
        if (!value.is_array()) return wrong(at, "expected a list of names");
        for (const json::value& each : value.get_array())
          if (!each.is_string()) return wrong(at, "expected a list of names");
        return {};
      case Operand::schema:
        return check(value, at, depth + 1);
      case Operand::schemas:
        if (!value.is_array() || value.get_array().empty())
          return wrong(at, "expected a list of schemas");
        for (size_t i = 0; i < value.get_array().size(); ++i)
          if (auto good = check(value.get_array()[i], below(at, std::to_string(i)), depth + 1);
              !good)
            return good;
        return {};
      case Operand::schema_map:
        if (!value.is_object()) return wrong(at, "expected schemas by name");
        for (const auto& each : value.get_object())
          if (auto good = check(each.value(), below(at, each.key()), depth + 1); !good) return good;
        return {};
    }
    return {};
  }

  static base::Result<void> check_type(const json::value& value, const std::string& at) {
    const auto is_type = [](const json::value& each) {
      return each.is_string() && std::find(kTypes.begin(), kTypes.end(),
                                           std::string_view(each.get_string())) != kTypes.end();
    };
    const bool good = value.is_array() ? !value.get_array().empty() &&
                                             std::all_of(value.get_array().begin(),
                                                         value.get_array().end(), is_type)
                                       : is_type(value);
    if (good) return {};
    return wrong(at, fmt::format("expected one of {}", fmt::join(kTypes, ", ")));
  }

  base::Result<void> check_reference(const json::value& value, const std::string& at) {
    const std::string_view reference = value.get_string();
    if (reference.substr(0, 1) != "#")
      return wrong(at, "only references into this schema, '#/...'");
    const json::value root(root_);
    const json::value* target = base::at_pointer(root, reference.substr(1));
    if (target == nullptr || !target->is_object())
      return wrong(at, fmt::format("there is nothing at '{}'", reference));
    // A chain of references that comes back to itself has no meaning and no end.
    std::vector<std::string> seen = {std::string(reference)};
    while (const json::value* next = target->get_object().if_contains("$ref")) {
      if (!next->is_string()) break;
      const std::string name(next->get_string());
      if (std::find(seen.begin(), seen.end(), name) != seen.end())
        return wrong(at, fmt::format("'{}' refers to itself", reference));
      seen.push_back(name);
      target = base::at_pointer(root, std::string_view(name).substr(1));
      if (target == nullptr || !target->is_object()) break;
    }
    return {};
  }

  const json::object& root_;
  bool has_patterns_ = false;
};

json::value without_patterns(const json::value& value, bool is_map_of_schemas) {
  if (value.is_array()) {
    json::array list;
    for (const json::value& each : value.get_array()) list.push_back(without_patterns(each, false));
    return list;
  }
  if (!value.is_object()) return value;
  json::object out;
  for (const auto& member : value.get_object()) {
    const std::string_view name = member.key();
    if (is_map_of_schemas) {  // its keys are names of properties, not keywords
      out[name] = without_patterns(member.value(), false);
    } else if (name == "enum" || name == "const" || name == "default") {
      out[name] = member.value();
    } else if (name != "pattern") {
      out[name] = without_patterns(member.value(), name == "properties" || name == "$defs");
    }
  }
  return out;
}

std::unique_ptr<valijson::Schema> compile_valijson(const json::value& schema) {
  auto compiled = std::make_unique<valijson::Schema>();
  valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
  valijson::adapters::BoostJsonAdapter adapter(schema);
  parser.populateSchema(adapter, *compiled);
  return compiled;
}

std::string_view without_fence(std::string_view text) {
  const auto trim = [](std::string_view& each) {
    while (!each.empty() &&
           std::string_view(" \t\r\n").find(each.front()) != std::string_view::npos)
      each.remove_prefix(1);
    while (!each.empty() && std::string_view(" \t\r\n").find(each.back()) != std::string_view::npos)
      each.remove_suffix(1);
  };
  trim(text);
  if (text.substr(0, 3) == "```" && text.size() >= 6 && text.substr(text.size() - 3) == "```") {
    const size_t line = text.find('\n');
    if (line != std::string_view::npos && line < text.size() - 3) {
      text = text.substr(line + 1, text.size() - 3 - line - 1);
      trim(text);
    }
  }
  return text;
}

}  // namespace

struct OutputSchema::Compiled {
  json::value root;                         // as written
  std::unique_ptr<valijson::Schema> whole;  // without patterns
  bool has_patterns = false;
  std::map<std::string, std::unique_ptr<const RE2>, std::less<>> patterns;
  // The branches of every anyOf, by the address of the branch in `root`.
  std::map<const json::value*, std::unique_ptr<valijson::Schema>> branches;

  void gather(const json::value& schema) {
    const json::object* object = schema.if_object();
    if (object == nullptr) return;
    if (const json::value* pattern = object->if_contains("pattern"))
      patterns.emplace(std::string(pattern->get_string()), compile_pattern(pattern->get_string()));
    for (const char* name : {"properties", "$defs"})
      if (const json::value* map = object->if_contains(name))
        for (const auto& each : map->get_object()) gather(each.value());
    if (const json::value* items = object->if_contains("items")) gather(*items);
    if (const json::value* any = object->if_contains("anyOf")) {
      for (const json::value& branch : any->get_array()) {
        gather(branch);
        json::value alone = without_patterns(branch, false);
        if (const json::value* definitions = root.get_object().if_contains("$defs"))
          alone.get_object()["$defs"] = without_patterns(*definitions, true);
        branches.emplace(&branch, compile_valijson(alone));
      }
    }
  }

  static bool fits(const valijson::Schema& schema, const json::value& value,
                   std::vector<std::string>* violations) {
    valijson::Validator validator;
    valijson::ValidationResults results;
    valijson::adapters::BoostJsonAdapter adapter(value);
    const bool good = validator.validate(schema, adapter, violations ? &results : nullptr);
    valijson::ValidationResults::Error error;
    while (violations && results.popError(error)) {
      std::string pointer;
      for (const std::string& part : error.context)
        if (part != "<root>") pointer += "/" + part.substr(1, part.size() - 2);
      violations->push_back(
          fmt::format("{}: {}", pointer.empty() ? "/" : pointer, error.description));
    }
    return good;
  }

  // What of the value breaks a pattern. The value fits the schema otherwise.
  void walk(const json::value& schema, const json::value& value, const std::string& pointer,
            std::vector<std::string>& violations) const {
    const json::object* object = schema.if_object();
    if (object == nullptr) return;
    if (const json::value* reference = object->if_contains("$ref")) {
      const std::string_view name = reference->get_string();
      if (const json::value* target = base::at_pointer(root, name.substr(1)))
        walk(*target, value, pointer, violations);
    }
    if (const json::value* pattern = object->if_contains("pattern"); pattern && value.is_string()) {
      const auto& text = value.get_string();
      const auto& regex = patterns.find(std::string_view(pattern->get_string()))->second;
      if (!RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *regex))
        violations.push_back(fmt::format("{}: does not match the pattern {}",
                                         pointer.empty() ? "/" : pointer, regex->pattern()));
    }
    if (const json::value* properties = object->if_contains("properties");
        properties && value.is_object())
      for (const auto& each : properties->get_object())
        if (const json::value* member = value.get_object().if_contains(each.key()))
          walk(each.value(), *member, below(pointer, each.key()), violations);
    if (const json::value* items = object->if_contains("items"); items && value.is_array())
      for (size_t i = 0; i < value.get_array().size(); ++i)
        walk(*items, value.get_array()[i], below(pointer, std::to_string(i)), violations);
    if (const json::value* any = object->if_contains("anyOf")) {
      std::vector<std::string> nearest;
      for (const json::value& branch : any->get_array()) {
        if (!fits(*branches.at(&branch), value, nullptr)) continue;
        std::vector<std::string> broken;
        walk(branch, value, pointer, broken);
        if (broken.empty()) return;
        nearest = std::move(broken);
      }
      violations.insert(violations.end(), nearest.begin(), nearest.end());
    }
  }
};

base::Result<OutputSchema> OutputSchema::compile(const json::object& schema) {
  auto compiled = std::make_shared<Compiled>();
  compiled->root = schema;
  Check check(schema);
  if (auto good = check.check(compiled->root, ""); !good) return good.error();
  compiled->has_patterns = check.has_patterns();
  try {
    compiled->whole = compile_valijson(without_patterns(compiled->root, false));
    if (compiled->has_patterns) compiled->gather(compiled->root);
  } catch (const std::exception& problem) {
    return wrong("", problem.what());
  }
  OutputSchema made;
  made.compiled_ = std::move(compiled);
  return made;
}

base::Result<json::value> OutputSchema::parse_output(std::string_view text) const {
  auto value = base::parse_json(without_fence(text));
  if (!value) return value.error().in("the answer");
  std::vector<std::string> violations;
  if (Compiled::fits(*compiled_->whole, *value, &violations)) {
    if (!compiled_->has_patterns) return value;
    compiled_->walk(compiled_->root, *value, "", violations);
    if (violations.empty()) return value;
  }
  return base::Error{.code = base::Code::invalid,
                     .message = fmt::format("the answer does not fit the output's schema: {}",
                                            fmt::join(violations, "; "))};
}

}  // namespace tertulia::flow
