// RehearsalScript tells rehearsal what to say: a YAML map from a step, or a step's n-th execution,
// to a text or, for structured outputs, to a value, which is said as JSON.
//
//   critic: "Not yet: the costs are missing."
//   critic@3: "ACCEPT"
//   verdict@2: { decision: accept, score: 8 }
//
// Which steps a flow has is not known here: the caller holds `steps` against them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tertulia::llm {

class RehearsalScript final {
 public:
  // Errors (invalid) name file, line and column. `file` is only a name.
  [[nodiscard]] static base::Result<RehearsalScript> parse(std::string_view yaml,
                                                           std::string_view file);
  [[nodiscard]] static base::Result<RehearsalScript> load(const std::string& path);

  // What to say, or nothing where the script is silent: the line for this iteration, else the
  // step's. The text lives as long as the script.
  [[nodiscard]] const std::string* find(std::string_view step, std::int64_t iteration) const;

  // The steps that the script speaks of, in order of name, each once.
  [[nodiscard]] std::vector<std::string> steps() const;

 private:
  struct Lines {
    std::optional<std::string> always;
    std::map<std::int64_t, std::string> at;
  };
  std::map<std::string, Lines, std::less<>> lines_;
};

}  // namespace tertulia::llm
