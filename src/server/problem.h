// Errors as HTTP tells them: RFC 9457 problem details.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "server/http.h"

namespace tertulia::server {

// What is wrong in one place of a body: an RFC 6901 pointer into it ("" is the whole).
struct FieldError {
  std::string pointer;
  std::string detail;
};

// `code` is the closed word for programs, the title the status's own words. What only the log may
// hold (Error::detail) is not in it.
[[nodiscard]] Response problem(int status, std::string_view code, std::string_view detail,
                               std::string_view remedy = {},
                               const std::vector<FieldError>& errors = {});
[[nodiscard]] Response problem(const base::Error& error);

// The same as OpenAI's API tells it, for paths under /v1/: {error: {message, type, param, code}}.
[[nodiscard]] Response as_openai_error(Response problem);

// "Not Found": the reason phrase of a status.
[[nodiscard]] std::string_view reason_phrase(int status);

}  // namespace tertulia::server
