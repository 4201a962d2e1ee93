#include "server/kept_answers.h"

#include <algorithm>
#include <utility>

namespace tertulia::server {

KeptAnswers::Found KeptAnswers::find(const std::string& key, base::SteadyTime now) {
  const std::lock_guard lock(mutex_);
  const auto found = kept_.find(key);
  if (found == kept_.end()) return {};
  Kept& kept = found->second;
  const auto age = now - kept.made;
  if (age > 2 * kept.good_for) {
    kept_.erase(found);
    return {};
  }
  Found given{.answer = kept.answer};
  if (age > kept.good_for) given.is_to_be_renewed = !std::exchange(kept.is_renewed, true);
  given.answer->fields.emplace_back(
      "Age", std::to_string(std::chrono::duration_cast<std::chrono::seconds>(age).count()));
  return given;
}

void KeptAnswers::keep(const std::string& key, const Response& answer,
                       std::chrono::nanoseconds took, base::SteadyTime now) {
  const std::lock_guard lock(mutex_);
  if (took <= kQuick) {
    kept_.erase(key);
    return;
  }
  if (kept_.size() >= kMost && kept_.count(key) == 0)
    kept_.erase(std::min_element(kept_.begin(), kept_.end(), [](const auto& a, const auto& b) {
      return a.second.made < b.second.made;
    }));
  kept_.insert_or_assign(
      key, Kept{.answer = answer, .made = now, .good_for = kGoodFor * took, .is_renewed = false});
}

}  // namespace tertulia::server
