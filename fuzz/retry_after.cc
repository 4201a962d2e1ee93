// What servers ask for with Retry-After. The input is both fields, a newline between them.
#include "llm/retry.h"
#include "target.h"

TERTULIA_FUZZ(retry_after) {
  using namespace std::chrono;
  const auto end = input.find('\n');
  const std::string_view first = input.substr(0, end);
  const std::string_view second = end == input.npos ? "" : input.substr(end + 1);
  const auto asked = tertulia::llm::parse_retry_after(first, second, tertulia::base::Timestamp{});
  if (asked)
    tertulia::fuzz::must_hold(asked->count() >= 0 && *asked <= hours(24 * 366 * 10),
                              "a wait is neither negative nor without end");
}
