// Where tests find what they test. The paths of a build are in one object file only, so that the
// compiler's cache serves every other clone too.
#pragma once

#include <string>
#include <string_view>

namespace tertulia::test {

// A file or folder of the sources.
[[nodiscard]] std::string in_source(std::string_view path);
// The program of this build, or the one that TERTULIA_TEST_PROGRAM names (script/sanitize).
[[nodiscard]] const char* program_path();

}  // namespace tertulia::test
