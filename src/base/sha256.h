// SHA-256 (FIPS 180-4), by OpenSSL.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace tertulia::base {

// The digest of bytes, as 64 lower-case hexadecimal digits.
[[nodiscard]] std::string sha256_hex(std::string_view bytes);

// The same of bytes that come piece by piece. One thread at a time.
class Sha256 final {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  void add(std::string_view bytes);
  // The digest of all that was added; nothing may be added after it.
  [[nodiscard]] std::string hex();

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace tertulia::base
