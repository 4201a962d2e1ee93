// Time: a wall clock for what people read (UTC, microseconds) and a steady one for measuring.
// Whoever needs the time takes a Clock, so that tests own it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace tertulia::base {

using Timestamp = std::chrono::sys_time<std::chrono::microseconds>;
using SteadyTime = std::chrono::steady_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Timestamp now() const = 0;
  [[nodiscard]] virtual SteadyTime steady() const = 0;

  // The machine's own clock; safe from any thread.
  static const Clock& system();
};

// "2026-11-24T10:56:51.123456Z"; always 27 characters for years 0000 to 9999.
[[nodiscard]] std::string to_iso8601(Timestamp time);

// Reads ISO 8601 as written above, with any number of fraction digits, a blank for the T, and "Z",
// "+00", "+HH:MM" or nothing (UTC) as the zone: what Tertulia, PostgreSQL and the older system
// write. Nothing for any other text.
[[nodiscard]] std::optional<Timestamp> parse_iso8601(std::string_view text);

// "1.2 s", "340 ms", "3 min 20 s": for people.
[[nodiscard]] std::string duration_words(std::chrono::milliseconds duration);

}  // namespace tertulia::base
