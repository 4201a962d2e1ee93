// Random draws numbers from a seed and a path, not from a history of draws: the n-th number under
// a path is a function of (seed, path, n) alone, on every machine. So a session performed again, or
// gone on with after a crash, draws what it drew before, whatever ran beside it.
// The mixing function is that of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom
// number generators", OOPSLA 2014); the path is folded in with FNV-1a. Not for secrets.
#pragma once

#include <cstdint>
#include <string_view>

namespace tertulia::base {

class Random final {
 public:
  Random(std::uint64_t seed, std::string_view path);

  [[nodiscard]] std::uint64_t next();
  // Uniform in [0, bound); bound > 0. Without the standard library's distributions, whose results
  // differ between implementations (Lemire's multiply-shift, with rejection).
  [[nodiscard]] std::uint64_t below(std::uint64_t bound);
  // Uniform in [0, 1).
  [[nodiscard]] double unit();

 private:
  std::uint64_t key_;
  std::uint64_t count_ = 0;
};

// A fresh seed from the operating system: 53 bits, so that it survives JSON.
[[nodiscard]] std::uint64_t fresh_seed();

}  // namespace tertulia::base
