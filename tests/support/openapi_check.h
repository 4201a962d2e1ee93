// OpenApiCheck holds real answers against the OpenAPI document that the program serves: is the path
// in it, the status, the media type, and does the body fit its schema?
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace tertulia::test {

class OpenApiCheck final {
 public:
  // The document as the program serves it.
  explicit OpenApiCheck(std::string_view document);
  ~OpenApiCheck();
  OpenApiCheck(const OpenApiCheck&) = delete;
  OpenApiCheck& operator=(const OpenApiCheck&) = delete;

  // What does not fit, in words; empty where all does. `target` may have a query. Paths and methods
  // that are not in the document must have been refused with 404 or 405.
  [[nodiscard]] std::string fault(std::string_view method, std::string_view target, int status,
                                  std::string_view content_type, std::string_view body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tertulia::test
