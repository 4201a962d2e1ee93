// Statistics of a `set` step over the outputs of several steps.
#pragma once

#include <string_view>
#include <vector>

#include "base/json.h"

namespace tertulia::flow {

// `stat` is count, min, max, mean, median, q1, q3, spread or majority. Nulls are left out. `count`
// counts what is left; `majority` is the value that is there most often, null on a tie; the others
// are over the numbers only. Quartiles interpolate linearly between the two nearest values (type 7
// of Hyndman and Fan, as numpy and R do); spread is (q3 - q1) / median. Null where there is nothing
// to say: no numbers, a spread about zero, an unknown `stat` (a check error).
[[nodiscard]] base::json::value statistic(std::string_view stat,
                                          const std::vector<base::json::value>& values);

}  // namespace tertulia::flow
