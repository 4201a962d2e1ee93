// The parameters $1 to $7 by which statements ask which sessions are meant (sql/session.sql).
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "store/sessions.h"

namespace tertulia::store {

// Before and after every time that a row holds.
inline constexpr const char* kBeforeAll = "0001-01-01T00:00:00.000000Z";
inline constexpr const char* kForEver = "9999-12-31T23:59:59.999999Z";

class FilterParams final {
 public:
  FilterParams(const SessionFilter& filter, const std::optional<Id>& below);
  // Those with ids from `first` to `last`.
  FilterParams(const SessionFilter& filter, Id first, Id last);
  FilterParams(const FilterParams&) = delete;
  FilterParams& operator=(const FilterParams&) = delete;

  // Good as long as this and the filter live.
  [[nodiscard]] std::vector<db::Param> list() const;
  void raise_lowest(Id id) { lowest_ = std::max(lowest_, id); }
  [[nodiscard]] Id lowest() const { return lowest_; }
  [[nodiscard]] Id highest() const { return highest_; }

 private:
  const SessionFilter& filter_;
  std::optional<std::string> statuses_;
  std::optional<std::string> ids_;
  std::string changed_before_;
  Id lowest_ = 0;
  Id highest_ = 0;
};

}  // namespace tertulia::store
