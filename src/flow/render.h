// Puts values into a Text. What is put in stands as it is and is never expanded again, whatever a
// model said.
#pragma once

#include <string>
#include <string_view>

#include "flow/condition.h"
#include "flow/machine.h"
#include "flow/text.h"

namespace tertulia::flow {

// What a session has recorded, as one of its strands sees it: for conditions and for texts. Borrows
// all three.
class SessionFacts final : public Facts {
 public:
  SessionFacts(const State& state, const Strand& strand, const Record& record)
      : state_(&state), strand_(&strand), record_(&record) {}

  [[nodiscard]] std::optional<std::string_view> last_message(std::string_view role) const override;
  [[nodiscard]] const json::value* output(std::string_view step) const override;
  [[nodiscard]] const json::value* variable(std::string_view name) const override;
  [[nodiscard]] std::int64_t round() const override { return state_->round; }
  [[nodiscard]] std::int64_t iteration() const { return strand_->iteration(); }
  // The latest version's text; nothing where there is none.
  [[nodiscard]] std::optional<std::string_view> document(std::string_view name) const;

 private:
  const State* state_;
  const Strand* strand_;
  const Record* record_;
};

struct Scene {
  const SessionFacts* facts = nullptr;
  std::string_view topic;
  std::string_view role_name = {};  // who speaks; empty outside `speak`
  std::string_view to_name = {};
  std::string_view each_name = {};  // whose branch it is
};

// Texts are put in as they are, other JSON as compact JSON; null and absent are empty.
[[nodiscard]] std::string expand(const Text& text, const Scene& scene);

}  // namespace tertulia::flow
