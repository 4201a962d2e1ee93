// The standing words around a prompt: the frame in the system text, the default task, how a message
// names its speaker. English and Chinese are built in; a flow's `format:` overrides any of them by
// its key. They are templates with {{placeholders}} of their own, filled once and never expanded
// again. Immutable once made; safe to share between threads.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tertulia::flow {

// The keys that `format:` may hold, in the order of the reference.
[[nodiscard]] const std::vector<std::string_view>& standing_word_keys();
// The languages that are built in: "en", "zh".
[[nodiscard]] const std::vector<std::string_view>& standing_word_languages();

// Whether a flow may override the words of this key with this text: an error (invalid) names the
// unknown key or placeholder, and what is known.
[[nodiscard]] base::Result<void> check_standing_word(std::string_view key, std::string_view text);

class StandingWords final {
 public:
  // An unknown language gets the English words.
  StandingWords(std::string_view language, const std::map<std::string, std::string>& overrides);

  using Values = std::initializer_list<std::pair<std::string_view, std::string_view>>;
  // The words of a key, its placeholders filled. The key is one of standing_word_keys().
  [[nodiscard]] std::string fill(std::string_view key, Values values = {}) const;

 private:
  std::map<std::string_view, std::string> words_;
};

}  // namespace tertulia::flow
