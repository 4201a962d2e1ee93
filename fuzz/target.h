// A fuzz target is a function of some bytes, which stops the process where a law is broken. It is
// built twice: for libFuzzer, one program a target (script/fuzz), and into fuzz_corpora, which
// performs every file of corpus/NAME in each build, so that what was once found stays found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

namespace tertulia::fuzz {

using Target = void (*)(std::string_view input);

// By name; filled before main.
inline std::map<std::string, Target>& targets() {
  static std::map<std::string, Target> all;
  return all;
}

// A law that holds for every input.
inline void must_hold(bool holds, std::string_view law) {
  if (holds) return;
  std::fprintf(stderr, "broken: %.*s\n", static_cast<int>(law.size()), law.data());
  std::abort();
}

}  // namespace tertulia::fuzz

// TERTULIA_FUZZ(name) { ... input ... }
#ifdef TERTULIA_FUZZER
#define TERTULIA_FUZZ(name)                                                           \
  static void fuzz_##name(std::string_view input);                                    \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);  \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    fuzz_##name(std::string_view(reinterpret_cast<const char*>(data), size));         \
    return 0;                                                                         \
  }                                                                                   \
  static void fuzz_##name(std::string_view input)
#else
#define TERTULIA_FUZZ(name)                                         \
  static void fuzz_##name(std::string_view input);                  \
  static const bool registered_##name =                             \
      tertulia::fuzz::targets().emplace(#name, fuzz_##name).second; \
  static void fuzz_##name(std::string_view input)
#endif
