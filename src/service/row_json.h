// Rows as JSON objects and back, by the declared tables' own description: a member for each column,
// by its name. Times are ISO 8601, words of closed lists their texts, NULL is null.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <type_traits>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "base/utf8.h"
#include "schema/declared.h"

namespace tertulia::service {

namespace internal {

template <class T>
base::json::value to_json(const T& value) {
  if constexpr (std::is_same_v<T, base::Timestamp>) {
    return base::json::value(base::to_iso8601(value));
  } else if constexpr (std::is_enum_v<T>) {
    return base::json::value(model::to_text(value));
  } else {
    return base::json::value(value);
  }
}
template <class T>
base::json::value to_json(const std::optional<T>& value) {
  return value ? to_json(*value) : base::json::value(nullptr);
}

// False where the value is not of the type.
template <class T>
[[nodiscard]] bool read_json(const base::json::value& value, T& into) {
  if constexpr (std::is_same_v<T, std::int64_t>) {
    if (!value.is_int64()) return false;
    into = value.get_int64();
  } else if constexpr (std::is_same_v<T, double>) {
    if (!value.is_number()) return false;
    into = value.to_number<double>();
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!value.is_bool()) return false;
    into = value.get_bool();
  } else if constexpr (std::is_same_v<T, std::string>) {
    // A column that holds JSON is written as what it holds; a text that is none stays a text.
    if (!value.is_string()) {
      if (!value.is_object() && !value.is_array()) return false;
      into = base::to_text(value);
      return true;
    }
    into = value.get_string();
    return !base::first_invalid_utf8(into);
  } else if constexpr (std::is_same_v<T, base::Timestamp>) {
    const auto time = value.is_string() ? base::parse_iso8601(value.get_string()) : std::nullopt;
    into = time.value_or(base::Timestamp());
    return time.has_value();
  } else {
    const auto known = value.is_string() ? model::from_text<T>(std::string_view(value.get_string()))
                                         : std::nullopt;
    into = known.value_or(T{});
    return known.has_value();
  }
  return true;
}
template <class T>
[[nodiscard]] bool read_json(const base::json::value& value, std::optional<T>& into) {
  into.reset();
  return value.is_null() || read_json(value, into.emplace());
}

}  // namespace internal

template <class Row>
[[nodiscard]] base::json::object row_json(const Row& row) {
  base::json::object out;
  schema::for_each_column<Row>(
      [&](const auto& column) { out[column.name] = internal::to_json(row.*(column.member)); });
  return out;
}

// What row_json wrote; members that are no column are not looked at, and those of columns that may
// be NULL may be left out. Invalid names the member, after `where` ("step_execution_logs[3]").
template <class Row>
[[nodiscard]] base::Result<Row> row_from_json(const base::json::value& value,
                                              std::string_view where) {
  const base::json::object* object = value.if_object();
  if (object == nullptr)
    return base::Error{.code = base::Code::invalid,
                       .message = fmt::format("{} is no object", where)};
  Row row;
  base::Result<void> read;
  schema::for_each_column<Row>([&](const auto& column) {
    static const base::json::value nothing;
    const base::json::value* member = object->if_contains(column.name);
    if (!read || internal::read_json(member != nullptr ? *member : nothing, row.*(column.member)))
      return;
    read =
        base::Error{.code = base::Code::invalid,
                    .message = fmt::format(
                        "{}.{} {}", where, column.name,
                        member == nullptr ? "is missing"
                                          : "holds " + base::shorten(base::to_text(*member), 80))};
  });
  if (!read) return read.error();
  return row;
}

}  // namespace tertulia::service
