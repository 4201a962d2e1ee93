// Reading YAML with every mistake told at its place. Internal to the language's half of the room.
#pragma once

#include <yaml-cpp/yaml.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "flow/draft.h"
#include "flow/keys.h"

namespace tertulia::flow {

// Loads a text within the limits of check.h; anchors, aliases and further documents are refused.
[[nodiscard]] std::optional<YAML::Node> load_yaml(std::string_view source, Problems& problems);

class YamlReader final {
 public:
  YamlReader(std::string_view source, Problems& problems);

  [[nodiscard]] Place place(const YAML::Node& node) const;
  void error(const YAML::Node& node, std::string message) const;
  void warn(const YAML::Node& node, std::string message) const;

  // Is it a mapping with keys of this construct only, each once? `where` completes "unknown key 'x'
  // in ...". What is wrong is told; a mapping with unknown keys is still read.
  [[nodiscard]] bool mapping(const YAML::Node& node, Construct construct,
                             std::string_view where) const;
  // The same for a mapping whose keys are names.
  [[nodiscard]] bool names(const YAML::Node& node, std::string_view what) const;

  [[nodiscard]] std::optional<std::string> text(const YAML::Node& node,
                                                std::string_view what) const;
  [[nodiscard]] std::vector<std::string> texts(const YAML::Node& node, std::string_view what) const;
  // 500, 20k, 2m, within the bounds.
  [[nodiscard]] std::optional<std::int64_t> count(const YAML::Node& node, std::string_view what,
                                                  std::int64_t least, std::int64_t most) const;
  // 200ms, 30s, 20m, 2h, as milliseconds.
  [[nodiscard]] std::optional<std::int64_t> duration_ms(const YAML::Node& node,
                                                        std::string_view what) const;
  [[nodiscard]] std::optional<double> number(const YAML::Node& node, std::string_view what) const;
  [[nodiscard]] std::optional<bool> flag(const YAML::Node& node, std::string_view what) const;
  // The node as JSON, plain scalars typed as YAML's core schema does.
  [[nodiscard]] base::json::value value(const YAML::Node& node) const;

 private:
  [[nodiscard]] static std::string found(const YAML::Node& node);

  std::string_view source_;
  std::vector<std::size_t> line_starts_;
  Problems& problems_;
};

}  // namespace tertulia::flow
