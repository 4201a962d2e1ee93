# The shipped flows become part of the program: tertulia_embed_flows(TARGET FOLDER dir) makes
# "service/shipped_flows_text.cc" out of dir/*.yaml.

add_executable(embed_flows ${CMAKE_SOURCE_DIR}/cmake/embed_flows.cc)

function(tertulia_embed_flows target)
  cmake_parse_arguments(ARG "" "FOLDER" "" ${ARGN})
  set(out ${CMAKE_BINARY_DIR}/gen/service/shipped_flows_text.cc)
  file(GLOB flows CONFIGURE_DEPENDS ${ARG_FOLDER}/*.yaml)
  # A file that was taken away leaves no newer one behind: the list itself must be one.
  file(GENERATE OUTPUT ${out}.list CONTENT "${flows}")
  add_custom_command(
    OUTPUT ${out}
    COMMAND embed_flows ${ARG_FOLDER} ${out}
    DEPENDS embed_flows ${flows} ${out}.list
    VERBATIM)
  target_sources(${target} PRIVATE ${out})
endfunction()
