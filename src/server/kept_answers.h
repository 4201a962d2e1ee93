// KeptAnswers are answers that took long to make, and are given again for a while: so that what
// reads very many rows takes a bounded part of the machine, however often it is asked for. What is
// made quickly is never kept. Safe from any thread.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "server/http.h"

namespace tertulia::server {

class KeptAnswers final {
 public:
  // What takes no longer is made anew each time.
  static constexpr std::chrono::milliseconds kQuick{100};
  // An answer is good for so many times as long as it took...
  static constexpr int kGoodFor = 10;
  // ... and may be given for as long again, while it is made anew.
  static constexpr std::size_t kMost = 32;

  struct Found {
    std::optional<Response> answer;  // with the field Age
    bool is_to_be_renewed = false;   // told to one caller, who makes it anew and keeps it
  };
  [[nodiscard]] Found find(const std::string& key, base::SteadyTime now);
  void keep(const std::string& key, const Response& answer, std::chrono::nanoseconds took,
            base::SteadyTime now);

 private:
  struct Kept {
    Response answer;
    base::SteadyTime made;
    std::chrono::nanoseconds good_for{0};
    bool is_renewed = false;
  };
  std::mutex mutex_;
  std::map<std::string, Kept> kept_;
};

}  // namespace tertulia::server
