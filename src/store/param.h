// Parameters from the values of the row types. Text is not copied: what is bound must outlive the
// call. Times need a place for their text, which a Times gives them.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "db/connection.h"
#include "model/rows.h"

namespace tertulia::store {

[[nodiscard]] inline db::Param param(std::int64_t value) {
  return value;
}
[[nodiscard]] inline db::Param param(double value) {
  return value;
}
[[nodiscard]] inline db::Param param(bool value) {
  return value;
}
[[nodiscard]] inline db::Param param(std::string_view value) {
  return value;
}
[[nodiscard]] inline db::Param param(const std::string& value) {
  return std::string_view(value);
}
template <class E>
requires std::is_enum_v<E>
[[nodiscard]] db::Param param(E value) {
  return model::to_text(value);
}
template <class T>
[[nodiscard]] db::Param param(const std::optional<T>& value) {
  return value ? param(*value) : db::Param(nullptr);
}
[[nodiscard]] db::Param param(std::string&&) = delete;

// A text as LIKE matches it literally, with '\' as ESCAPE.
[[nodiscard]] inline std::string escape_like(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '%' || c == '_' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

// Keeps the texts of the times of one statement or commit. The same time in a row is written once.
class Times final {
 public:
  [[nodiscard]] db::Param param(base::Timestamp time) {
    if (texts_.empty() || time != last_) {
      texts_.push_back(base::to_iso8601(time));
      last_ = time;
    }
    return std::string_view(texts_.back());
  }
  [[nodiscard]] db::Param param(const std::optional<base::Timestamp>& time) {
    return time ? param(*time) : db::Param(nullptr);
  }

 private:
  std::deque<std::string> texts_;  // a deque: the views stay valid as it grows
  base::Timestamp last_;
};

}  // namespace tertulia::store
