#include "support/openapi_check.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <map>
#include <stdexcept>
#include <valijson/adapters/boost_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>
#include <vector>

namespace tertulia::test {

namespace json = boost::json;

namespace {

std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> parts;
  path = path.substr(0, path.find('?'));
  while (!path.empty()) {
    path.remove_prefix(1);
    parts.push_back(path.substr(0, path.find('/')));
    path.remove_prefix(parts.back().size());
  }
  return parts;
}

// How many parts are the same words; nothing fits where it is below zero.
int fit(std::string_view pattern, std::string_view path) {
  const auto wanted = parts_of(pattern);
  const auto given = parts_of(path);
  if (wanted.size() != given.size()) return -1;
  int same = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].substr(0, 1) == "{") continue;
    if (wanted[i] != given[i]) return -1;
    ++same;
  }
  return same;
}

}  // namespace

struct OpenApiCheck::State {
  json::object document;
  std::map<std::string, std::unique_ptr<valijson::Schema>> compiled;

  // The schema as a document of its own, with what its references name.
  valijson::Schema& compile(const json::value& schema) {
    auto& known = compiled[json::serialize(schema)];
    if (known) return *known;
    json::object root = schema.as_object();
    root["components"] = document.at("components");
    known = std::make_unique<valijson::Schema>();
    const json::value whole(root);
    valijson::adapters::BoostJsonAdapter adapter(whole);
    valijson::SchemaParser().populateSchema(adapter, *known);
    return *known;
  }
};

OpenApiCheck::OpenApiCheck(std::string_view document) : state_(std::make_unique<State>()) {
  state_->document = json::parse({document.data(), document.size()}).as_object();
}

OpenApiCheck::~OpenApiCheck() = default;

std::string OpenApiCheck::fault(std::string_view method, std::string_view target, int status,
                                std::string_view content_type, std::string_view body) {
  if (status == 304) return {};  // an answer that the client has already
  const json::object* path = nullptr;
  int best = -1;
  for (const auto& each : state_->document.at("paths").as_object())
    if (const int same = fit({each.key().data(), each.key().size()}, target); same > best) {
      best = same;
      path = &each.value().as_object();
    }
  std::string name;
  for (const char c : method == "HEAD" ? std::string_view("GET") : method)
    name += static_cast<char>(c - 'A' + 'a');
  const json::value* operation = path == nullptr ? nullptr : path->if_contains(name);
  const json::value* response = nullptr;
  if (operation == nullptr) {
    if (status == 404 || status == 405 || status == 400 || status == 421 || status == 204)
      return {};
    return std::string(method) + " " + std::string(target) + " is not in the document";
  }
  const json::object& responses = operation->at("responses").as_object();
  response = responses.if_contains(std::to_string(status));
  // Of what is done already: the same body as where it is done now.
  if (response == nullptr && status < 300)
    for (const auto& each : responses)
      if (each.key().front() == '2') response = &each.value();
  if (response == nullptr) response = &responses.at("default");
  const json::value* content = response->as_object().if_contains("content");
  if (content == nullptr || method == "HEAD" || status == 204)
    return body.empty() ? std::string() : "a body where the document has none";
  const std::string media(content_type);
  const json::value* type = nullptr;
  for (const auto& each : content->as_object())
    if (media.rfind(std::string(each.key()), 0) == 0) type = &each.value();
  if (type == nullptr) {
    // Exports and flows have other forms than JSON, which have no schema.
    if (status == 200 && media.rfind("application/json", 0) != 0) return {};
    return "the media type " + media + " is not in the document";
  }
  if (media.rfind("application/json", 0) != 0 && media.rfind("application/problem", 0) != 0)
    return {};
  json::value value;
  try {
    value = json::parse({body.data(), body.size()});
  } catch (const std::exception& problem) {
    return std::string("the body is no JSON: ") + problem.what();
  }
  valijson::Validator validator;
  valijson::ValidationResults results;
  valijson::adapters::BoostJsonAdapter adapter(value);
  if (validator.validate(state_->compile(type->at("schema")), adapter, &results)) return {};
  std::string faults;
  valijson::ValidationResults::Error error;
  while (results.popError(error)) {
    for (const auto& part : error.context) faults += part;
    faults += ": " + error.description + "\n";
  }
  return faults;
}

}  // namespace tertulia::test
