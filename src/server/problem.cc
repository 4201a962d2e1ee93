#include "server/problem.h"

#include <fmt/format.h>

#include "base/utf8.h"

namespace tertulia::server {

namespace json = base::json;

namespace {

// JSON is UTF-8, whatever bytes a request had that is spoken of.
std::string as_utf8(std::string_view text) {
  std::string out;
  while (const auto at = base::first_invalid_utf8(text)) {
    out.append(text.substr(0, *at)).append("\xef\xbf\xbd");
    text.remove_prefix(*at + 1);
  }
  return out.append(text);
}

}  // namespace

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Cancelled";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 507:
      return "Insufficient Storage";
    default:
      return "Error";
  }
}

Response problem(int status, std::string_view code, std::string_view detail,
                 std::string_view remedy, const std::vector<FieldError>& errors) {
  json::object body;
  body["type"] = fmt::format("urn:tertulia:problem:{}", code);
  body["title"] = reason_phrase(status);
  body["status"] = status;
  body["code"] = code;
  body["detail"] = as_utf8(detail);
  if (!remedy.empty()) body["remedy"] = as_utf8(remedy);
  if (!errors.empty()) {
    json::array all;
    for (const FieldError& error : errors) {
      json::object each;
      each["pointer"] = as_utf8(error.pointer);
      each["detail"] = as_utf8(error.detail);
      all.push_back(std::move(each));
    }
    body["errors"] = std::move(all);
  }
  return {.status = status,
          .content_type = "application/problem+json",
          .body = base::to_text(json::value(std::move(body)))};
}

Response problem(const base::Error& error) {
  return problem(base::http_status(error.code), base::code_name(error.code), error.message,
                 error.remedy);
}

Response as_openai_error(Response problem) {
  auto body = base::parse_json(problem.body);
  if (!body || !body->is_object()) return problem;
  const json::object& told = body->get_object();
  json::object error;
  const json::value* remedy = told.if_contains("remedy");
  error["message"] = std::string(told.at("detail").as_string()) +
                     (remedy != nullptr ? "; " + std::string(remedy->as_string()) : std::string());
  error["type"] = problem.status == 401   ? "authentication_error"
                  : problem.status == 403 ? "permission_error"
                  : problem.status == 429 ? "rate_limit_error"
                  : problem.status >= 500 ? "server_error"
                                          : "invalid_request_error";
  const json::value* pointer = base::at_pointer(*body, "/errors/0/pointer");
  error["param"] = pointer != nullptr && pointer->is_string() && pointer->get_string().size() > 1
                       ? json::value(std::string_view(pointer->get_string()).substr(1))
                       : json::value(nullptr);
  error["code"] = told.at("code");
  json::object out;
  out["error"] = std::move(error);
  problem.content_type = "application/json";
  problem.body = base::to_text(json::value(std::move(out)));
  return problem;
}

}  // namespace tertulia::server
