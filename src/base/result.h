// Result<T> is a T or the Error that kept it from being made. It is how every function of Tertulia
// that can fail for reasons outside the program reports it; exceptions of libraries stop at the
// room that uses the library.
#pragma once

#include <cassert>
#include <utility>
#include <variant>

#include "base/error.h"

namespace tertulia::base {

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: by design
  Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: by design

  [[nodiscard]] bool ok() const { return held_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Only of a Result that is ok.
  [[nodiscard]] T& value() & { return assert(ok()), std::get<0>(held_); }
  [[nodiscard]] const T& value() const& { return assert(ok()), std::get<0>(held_); }
  [[nodiscard]] T&& value() && { return assert(ok()), std::get<0>(std::move(held_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // Only of a Result that is not ok.
  [[nodiscard]] const Error& error() const& { return assert(!ok()), std::get<1>(held_); }
  [[nodiscard]] Error&& error() && { return assert(!ok()), std::get<1>(std::move(held_)); }

 private:
  std::variant<T, Error> held_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), failed_(true) {}  // NOLINT: by design

  [[nodiscard]] bool ok() const { return !failed_; }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] const Error& error() const& { return assert(failed_), error_; }
  [[nodiscard]] Error&& error() && { return assert(failed_), std::move(error_); }

 private:
  Error error_;
  bool failed_ = false;
};

}  // namespace tertulia::base
