// OutputSchema is the JSON Schema of a step's structured output: the listed subset of the language,
// compiled once. Values; safe to use from any thread once made.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace tertulia::flow {

class OutputSchema final {
 public:
  // Invalid where a keyword is not of the subset, has a wrong operand, or a `$ref` leads nowhere;
  // `detail` holds the JSON pointer of the place.
  [[nodiscard]] static base::Result<OutputSchema> compile(const base::json::object& schema);

  // A model's answer as a value that fits the schema. White space and a Markdown code fence around
  // the JSON are taken off. An error names every violation with its pointer.
  [[nodiscard]] base::Result<base::json::value> parse_output(std::string_view text) const;

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace tertulia::flow
