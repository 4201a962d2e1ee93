# What every target is compiled with.

find_program(CCACHE ccache)
if(CCACHE)
  # The sloppiness lets ccache keep objects that use a precompiled header. Paths below the sources
  # are relative in its keys, so that one clone's objects serve the next.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

set(CMAKE_CXX_FLAGS_DEV "-O1 -g1" CACHE STRING "Flags of the Dev build type" FORCE)
set(CMAKE_C_FLAGS_DEV "-O1 -g1" CACHE STRING "Flags of the Dev build type" FORCE)

add_compile_options(
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-qual
  -Wunused -Wvla)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports values as maybe uninitialised inside std::variant and std::optional where they
  # are not (GCC bugs 105562 and 80635).
  add_compile_options(-Wno-maybe-uninitialized -fpch-preprocess)
else()
  add_compile_options(-Xclang -fno-pch-timestamp)
endif()
if(TERTULIA_WERROR)
  add_compile_options(-Werror)
endif()

if(TERTULIA_SANITIZE)
  add_compile_options(-fsanitize=${TERTULIA_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${TERTULIA_SANITIZE})
  if(TERTULIA_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()

if(CMAKE_BUILD_TYPE STREQUAL "Release")
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
  add_link_options(-s)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Without it g++ optimises the whole program on one core.
    add_link_options(-flto=auto)
  endif()
else()
  find_program(MOLD mold)
  if(MOLD AND NOT TERTULIA_SANITIZE)
    add_link_options(-fuse-ld=mold)
  endif()
endif()
