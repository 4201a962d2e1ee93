// A flow template of the older system, said in Tertulia's flow language. Pure: rows in, a text and
// remarks out; the text is then checked and compiled like any other. What it cannot say is
// remarked, never left out in silence.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/rows.h"

namespace tertulia::adopt {

struct Template {
  model::Id id = 0;
  std::string title;  // its name in the older system
  std::string description;
  std::optional<std::string> topic;
  std::vector<model::FlowStep> steps;  // in the order in which they are performed
};

struct Remark {
  model::Id step = 0;  // flow_steps.id
  std::string column;
  std::string words;
};

struct Translation {
  std::string source;  // YAML
  std::vector<Remark> remarks;
};

// The role that the older system would have taken for a reference: of this very name, else the
// first whose name holds it. Null where there is none.
[[nodiscard]] const model::Role* role_of(std::string_view reference,
                                         const std::vector<model::Role>& roles);

// Invalid where a step has no speaker, or there are no steps.
[[nodiscard]] base::Result<Translation> translate(const Template& from,
                                                  const std::vector<model::Role>& roles);

// "adopted-7"
[[nodiscard]] std::string flow_name(model::Id flow_template);

}  // namespace tertulia::adopt
