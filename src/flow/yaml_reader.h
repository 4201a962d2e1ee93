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

// Is it meant as JSON? Its first sign says so.
[[nodiscard]] bool is_json(std::string_view source);

// Loads a text within the limits of check.h; anchors, aliases, tags and further documents are
// refused.
[[nodiscard]] std::optional<YAML::Node> load_yaml(std::string_view source, Problems& problems);

class YamlReader final {
 public:
  YamlReader(std::string_view source, Problems& problems);

  [[nodiscard]] Place place(const YAML::Node& node) const;
  // Of the n-th "{{" (from 0) of a text.
  [[nodiscard]] Place place_of_braces(const YAML::Node& node, int nth) const;
  // The key of this name; the mapping if it has none.
  [[nodiscard]] static YAML::Node key(const YAML::Node& mapping, std::string_view name);
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
  [[nodiscard]] std::size_t offset(const YAML::Node& node) const;
  [[nodiscard]] Place place_at(std::size_t offset) const;
  [[nodiscard]] std::size_t characters_until(std::size_t offset) const;

  std::string_view source_;
  std::vector<std::size_t> line_starts_;
  std::vector<std::size_t> characters_before_;  // by block of the source
  Problems& problems_;
};

}  // namespace tertulia::flow
