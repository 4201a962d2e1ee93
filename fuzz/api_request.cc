// Requests that are well framed, for every route. Four parts, a newline between them: the operation
// ("GET /api/v1/roles/{name}"; anything else chooses one all the same), what fills the path's
// places with the query after a '?', "json" or "yaml", and the body. Every answer fits the OpenAPI
// document, and none says that the server is at fault.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/json.h"
#include "served.h"
#include "support/http_client.h"
#include "support/openapi_check.h"
#include "target.h"

namespace {

using namespace tertulia;

struct Operation {
  std::string method, path;
};

// Of the document, in its order.
std::vector<Operation> operations(const std::string& document) {
  std::vector<Operation> all;
  const auto parsed = base::parse_json(document);
  fuzz::must_hold(parsed && parsed->is_object(), "the document is JSON");
  for (const auto& [path, methods] : parsed->at("paths").as_object())
    for (const auto& [method, operation] : methods.as_object()) {
      std::string upper(method);
      for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      all.push_back({upper, std::string(path)});
    }
  return all;
}

// As a client would write it: what is no part of an address is encoded.
std::string encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 32 || byte >= 127 || c == '#')
      out += fmt::format("%{:02X}", byte);
    else
      out += c;
  }
  return out;
}

std::string_view take_line(std::string_view& input) {
  const auto line = input.substr(0, input.find('\n'));
  input.remove_prefix(std::min(input.size(), line.size() + 1));
  return line;
}

std::string filled(std::string_view path, std::string_view captures) {
  std::string target;
  while (!path.empty()) {
    if (path.front() != '{') {
      target += path.front();
      path.remove_prefix(1);
      continue;
    }
    path.remove_prefix(path.find('}') + 1);
    const auto end = captures.find(' ');
    target += encoded(captures.substr(0, end));
    captures = end == captures.npos ? "" : captures.substr(end + 1);
  }
  return target;
}

}  // namespace

TERTULIA_FUZZ(api_request) {
  const std::string_view wanted = take_line(input);
  const std::string_view line = take_line(input);
  const bool is_yaml = take_line(input) == "yaml";
  const auto& server = fuzz::served();
  static const std::vector<Operation> all = operations(server.document());
  static test::OpenApiCheck check(server.document());
  const auto named = std::find_if(all.begin(), all.end(), [&](const Operation& each) {
    return each.method + ' ' + each.path == wanted;
  });
  const Operation& operation =
      named != all.end() ? *named : all[std::hash<std::string_view>()(wanted) % all.size()];
  const auto query = line.find('?');
  std::string target = filled(operation.path, line.substr(0, query));
  if (query != line.npos) target += encoded(line.substr(query));

  test::HttpClient client(server.url());
  client.send(client.request(operation.method, target, operation.method == "GET" ? "" : input,
                             {{"Content-Type", is_yaml ? "application/yaml" : "application/json"},
                              {"Connection", "close"}}));
  auto answer = client.read_head();
  fuzz::must_hold(answer.has_value(), "every request is answered");
  fuzz::must_hold(answer->status < 500, "no input is the server's fault");
  const bool is_stream = answer->field("content-type").starts_with("text/event-stream");
  if (is_stream) return;  // without an end
  client.read_body(*answer, operation.method == "HEAD");
  const std::string fault = check.fault(operation.method, target, answer->status,
                                        answer->field("content-type"), answer->body);
  if (!fault.empty())
    std::fprintf(stderr, "%s %s: %s\n%s\n", operation.method.c_str(), target.c_str(), fault.c_str(),
                 answer->body.c_str());
  fuzz::must_hold(fault.empty(), "every answer fits the OpenAPI document");
}
