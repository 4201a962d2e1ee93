#include "store/session_filter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "store/param.h"

namespace tertulia::store {
FilterParams::FilterParams(const SessionFilter& filter, const std::optional<Id>& below)
    : filter_(filter), changed_before_(kForEver), highest_(std::numeric_limits<Id>::max()) {
  if (!filter.statuses.empty()) {
    statuses_ = ",";
    for (const auto status : filter.statuses)
      *statuses_ += std::string(model::to_text(status)) + ",";
  }
  if (filter.changed_before) changed_before_ = base::to_iso8601(*filter.changed_before);
  if (!filter.ids.empty()) {
    ids_ = fmt::format(",{},", fmt::join(filter.ids, ","));
    const auto [least, most] = std::minmax_element(filter.ids.begin(), filter.ids.end());
    lowest_ = *least;
    highest_ = *most;
  }
  if (below) highest_ = std::min(highest_, *below - 1);
}

FilterParams::FilterParams(const SessionFilter& filter, Id first, Id last)
    : FilterParams(filter, std::nullopt) {
  lowest_ = std::max(lowest_, first);
  highest_ = std::min(highest_, last);
}

std::vector<db::Param> FilterParams::list() const {
  return {param(statuses_), param(filter_.flow), param(changed_before_), param(ids_),
          param(lowest_),   param(highest_),     param(filter_.batch)};
}

}  // namespace tertulia::store
