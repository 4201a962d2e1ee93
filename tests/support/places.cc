#include "support/places.h"

namespace tertulia::test {

std::string in_source(std::string_view path) {
  return std::string(TERTULIA_SOURCE_DIR "/").append(path);
}

const char* program_path() {
  return TERTULIA_PROGRAM;
}

}  // namespace tertulia::test
