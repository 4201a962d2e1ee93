#include "base/clock.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace tertulia::base {
namespace {

class SystemClock final : public Clock {
 public:
  Timestamp now() const override {
    return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
  }
  SteadyTime steady() const override { return std::chrono::steady_clock::now(); }
};

// Reads exactly `digits` digits at `at` and moves past them; -1 where there are none.
int read_digits(std::string_view text, size_t& at, size_t digits) {
  if (at + digits > text.size()) return -1;
  int value = 0;
  for (size_t i = 0; i < digits; ++i) {
    const char c = text[at + i];
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  at += digits;
  return value;
}

bool skip(std::string_view text, size_t& at, char wanted) {
  if (at >= text.size() || text[at] != wanted) return false;
  ++at;
  return true;
}

}  // namespace

const Clock& Clock::system() {
  static const SystemClock clock;
  return clock;
}

std::string to_iso8601(Timestamp time) {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss<microseconds> clock{time - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

std::optional<Timestamp> parse_iso8601(std::string_view text) {
  using namespace std::chrono;
  size_t at = 0;
  const int y = read_digits(text, at, 4);
  if (y < 0 || !skip(text, at, '-')) return {};
  const int mo = read_digits(text, at, 2);
  if (mo < 0 || !skip(text, at, '-')) return {};
  const int d = read_digits(text, at, 2);
  const year_month_day date{year{y}, month{static_cast<unsigned>(mo)},
                            std::chrono::day{static_cast<unsigned>(d)}};
  if (d < 0 || !date.ok()) return {};
  if (!skip(text, at, 'T') && !skip(text, at, ' ')) return {};
  const int h = read_digits(text, at, 2);
  if (h < 0 || h > 23 || !skip(text, at, ':')) return {};
  const int mi = read_digits(text, at, 2);
  if (mi < 0 || mi > 59 || !skip(text, at, ':')) return {};
  const int s = read_digits(text, at, 2);
  if (s < 0 || s > 60) return {};
  std::int64_t micros = 0;
  if (skip(text, at, '.')) {
    std::int64_t scale = 100'000;
    bool any = false;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
      micros += (text[at++] - '0') * scale;
      scale /= 10;
      any = true;
    }
    if (!any) return {};
  }
  minutes offset{0};
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
    const int sign = text[at++] == '+' ? 1 : -1;
    const int oh = read_digits(text, at, 2);
    if (oh < 0) return {};
    int om = 0;
    if (at < text.size()) {
      skip(text, at, ':');
      om = read_digits(text, at, 2);
      if (om < 0) return {};
    }
    offset = sign * minutes{oh * 60 + om};
  } else {
    skip(text, at, 'Z');
  }
  if (at != text.size()) return {};
  return Timestamp{sys_days{date}} + hours{h} + minutes{mi} + seconds{s} + microseconds{micros} -
         offset;
}

std::string duration_words(std::chrono::milliseconds duration) {
  const auto ms = duration.count();
  if (ms < 1000) return fmt::format("{} ms", ms);
  if (ms < 60'000) return fmt::format("{:.1f} s", static_cast<double>(ms) / 1000.0);
  const auto s = ms / 1000;
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
}

}  // namespace tertulia::base
