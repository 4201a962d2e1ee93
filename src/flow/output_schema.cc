// valijson does the validating, but for `pattern`: it hands patterns to std::regex, which recurses
// once a character and overflows the stack on a text of 50,000. So `pattern` is taken out of the
// schema that valijson gets, and checked here with RE2, by a walk over schema and value together.
// Inside anyOf a branch fits only if both agree, so each branch is compiled for itself as well.
// valijson follows references by recursion and without end, so a reference that comes back to
// itself without taking a part of the value is refused, and a long chain of them too.
#include "flow/output_schema.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
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
constexpr int kMaxChain = 32;
constexpr std::int64_t kMaxChainSchemas = 1'000;

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
  explicit Check(const json::value& root) : root_(root) {}

  base::Result<void> check() {
    if (auto good = check_schema(root_, "", 0); !good) return good;
    for (const json::value* schema : in_order_)
      if (auto chain = check_chain(*schema, schemas_.at(schema), 1); !chain) return chain.error();
    return {};
  }
  [[nodiscard]] bool has_patterns() const { return has_patterns_; }

 private:
  base::Result<void> check_schema(const json::value& value, const std::string& pointer, int depth) {
    if (depth > kMaxSchemaDepth)
      return wrong(pointer, fmt::format("nested deeper than {}", kMaxSchemaDepth));
    const json::object* schema = value.if_object();
    if (schema == nullptr) return wrong(pointer, "expected a schema, a mapping");
    schemas_.emplace(&value, pointer);
    in_order_.push_back(&value);
    const bool refers = schema->contains("$ref");
    for (const auto& member : *schema) {
      const std::string_view name = member.key();
      const auto known = std::find_if(kKeywords.begin(), kKeywords.end(),
                                      [&](const Keyword& each) { return each.name == name; });
      const std::string at = below(pointer, name);
      if (known == kKeywords.end()) return wrong(at, unknown_words(name));
      if (auto good = check_operand(known->operand, member.value(), at, depth); !good) return good;
      if (refers && !may_stand_beside_reference(name))
        return wrong(at, "has no effect beside '$ref': put it where '$ref' leads");
      if (name == "$ref" && target_of(*schema) == nullptr)
        return wrong(at, fmt::format("there is no schema at '{}'; only references into this schema "
                                     "are supported, '#/...'",
                                     std::string_view(member.value().get_string())));
      if (name == "pattern") {
        const auto regex = compile_pattern(member.value().get_string());
        if (!regex->ok()) return wrong(at, "not a regular expression (RE2): " + regex->error());
        has_patterns_ = true;
      }
    }
    return {};
  }

  // What a schema asks of one value through references and the branches of anyOf.
  struct Chain {
    int depth = 1;
    std::int64_t schemas = 1;
  };
  base::Result<Chain> check_chain(const json::value& value, const std::string& pointer, int depth) {
    if (const auto known = chains_.find(&value); known != chains_.end()) return known->second;
    if (!under_way_.insert(&value).second)
      return wrong(pointer, "refers to itself without taking a part of the value");
    Chain chain;
    const auto follow = [&](const json::value& next, const std::string& at) -> base::Result<void> {
      // What stands nowhere as a schema has not been checked as one.
      const auto schema = schemas_.find(&next);
      if (schema == schemas_.end()) return wrong(at, "does not lead to a schema");
      const auto below_it = depth < kMaxChain ? check_chain(next, schema->second, depth + 1)
                                              : base::Result<Chain>(Chain{.depth = kMaxChain});
      if (!below_it) return below_it.error();
      chain.depth = std::max(chain.depth, below_it->depth + 1);
      chain.schemas += below_it->schemas;
      if (chain.depth > kMaxChain)
        return wrong(at, fmt::format("more than {} references one after another", kMaxChain));
      if (chain.schemas > kMaxChainSchemas)
        return wrong(at, fmt::format("more than {} schemas for one value", kMaxChainSchemas));
      return {};
    };
    const json::object& schema = value.get_object();
    if (const json::value* target = target_of(schema))
      if (auto good = follow(*target, below(pointer, "$ref")); !good) return good.error();
    if (const json::value* any = schema.if_contains("anyOf"))
      for (const json::value& branch : any->get_array())
        if (auto good = follow(branch, below(pointer, "anyOf")); !good) return good.error();
    under_way_.erase(&value);
    chains_.emplace(&value, chain);
    return chain;
  }

  // Where a schema's `$ref` leads; null where it has none or it leads nowhere.
  [[nodiscard]] const json::value* target_of(const json::object& schema) const {
    const json::value* reference = schema.if_contains("$ref");
    if (reference == nullptr) return nullptr;
    const std::string_view name = reference->get_string();
    return name.substr(0, 1) == "#" ? base::at_pointer(root_, name.substr(1)) : nullptr;
  }

  static bool may_stand_beside_reference(std::string_view name) {
    constexpr std::array<std::string_view, 5> kBeside = {"$ref", "$defs", "title", "description",
                                                         "default"};
    return std::find(kBeside.begin(), kBeside.end(), name) != kBeside.end();
  }

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
        return check_schema(value, at, depth + 1);
      case Operand::schemas:
        if (!value.is_array() || value.get_array().empty())
          return wrong(at, "expected a list of schemas");
        for (size_t i = 0; i < value.get_array().size(); ++i)
          if (auto good =
                  check_schema(value.get_array()[i], below(at, std::to_string(i)), depth + 1);
              !good)
            return good;
        return {};
      case Operand::schema_map:
        if (!value.is_object()) return wrong(at, "expected schemas by name");
        for (const auto& each : value.get_object())
          if (auto good = check_schema(each.value(), below(at, each.key()), depth + 1); !good)
            return good;
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

  const json::value& root_;
  std::map<const json::value*, std::string> schemas_;  // every schema in it, with its pointer
  std::vector<const json::value*> in_order_;           // ... of the text
  std::set<const json::value*> under_way_;
  std::map<const json::value*, Chain> chains_;
  bool has_patterns_ = false;
};

constexpr std::string_view kRoot = "#/$defs/root";

// A reference is a URI, where '%' escapes.
std::string reference_to(std::string_view pointer) {
  std::string reference(kRoot);
  for (const char c : pointer) reference += c == '%' ? "%25" : std::string(1, c);
  return reference;
}

// The schema as valijson gets it, to stand at #/$defs/root of a document.
json::value without_patterns(const json::value& value, bool is_map_of_schemas = false) {
  if (value.is_array()) {
    json::array list;
    for (const json::value& each : value.get_array()) list.push_back(without_patterns(each));
    return list;
  }
  if (!value.is_object()) return value;
  json::object out;
  for (const auto& member : value.get_object()) {
    const std::string_view name = member.key();
    if (is_map_of_schemas) {  // its keys are names of properties, not keywords
      out[name] = without_patterns(member.value());
    } else if (name == "enum" || name == "const" || name == "default") {
      out[name] = member.value();
    } else if (name == "$ref") {
      out[name] = reference_to(member.value().get_string().subview(1));
    } else if (name != "pattern") {
      out[name] = without_patterns(member.value(), name == "properties" || name == "$defs");
    }
  }
  return out;
}

// Compiles the schemas in a document for themselves, each with all that it refers to.
class Compiler final {
 public:
  explicit Compiler(const json::value& root)
      : document_(json::object{{"$ref", kRoot}, {"$defs", {{"root", without_patterns(root)}}}}) {}

  [[nodiscard]] std::unique_ptr<valijson::Schema> compile(std::string_view pointer) {
    document_.get_object()["$ref"] = reference_to(pointer);
    auto compiled = std::make_unique<valijson::Schema>();
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    valijson::adapters::BoostJsonAdapter adapter(document_);
    parser.populateSchema(adapter, *compiled);
    return compiled;
  }

 private:
  json::value document_;
};

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

  void gather(const json::value& schema, const std::string& pointer, Compiler& compiler) {
    const json::object& object = schema.get_object();
    if (const json::value* pattern = object.if_contains("pattern"))
      patterns.emplace(std::string(pattern->get_string()), compile_pattern(pattern->get_string()));
    for (const char* name : {"properties", "$defs"})
      if (const json::value* map = object.if_contains(name))
        for (const auto& each : map->get_object())
          gather(each.value(), below(below(pointer, name), each.key()), compiler);
    if (const json::value* items = object.if_contains("items"))
      gather(*items, below(pointer, "items"), compiler);
    if (const json::value* any = object.if_contains("anyOf")) {
      std::size_t number = 0;
      for (const json::value& branch : any->get_array()) {
        const std::string at = below(below(pointer, "anyOf"), std::to_string(number++));
        branches.emplace(&branch, compiler.compile(at));
        gather(branch, at, compiler);
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

  // What of the value breaks a pattern.
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
  Check check(compiled->root);
  if (auto good = check.check(); !good) return good.error();
  compiled->has_patterns = check.has_patterns();
  try {
    Compiler compiler(compiled->root);
    compiled->whole = compiler.compile("");
    if (compiled->has_patterns) compiled->gather(compiled->root, "", compiler);
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
  const bool fits = Compiled::fits(*compiled_->whole, *value, &violations);
  if (compiled_->has_patterns) compiled_->walk(compiled_->root, *value, "", violations);
  if (fits && violations.empty()) return value;
  return base::Error{.code = base::Code::invalid,
                     .message = fmt::format("the answer does not fit the output's schema: {}",
                                            fmt::join(violations, "; "))};
}

}  // namespace tertulia::flow
