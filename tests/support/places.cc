#include "support/places.h"

#include <cstdlib>

namespace tertulia::test {

std::string in_source(std::string_view path) {
  return std::string(TERTULIA_SOURCE_DIR "/").append(path);
}

const char* program_path() {
  const char* const other = std::getenv("TERTULIA_TEST_PROGRAM");
  return other != nullptr ? other : TERTULIA_PROGRAM;
}

}  // namespace tertulia::test
