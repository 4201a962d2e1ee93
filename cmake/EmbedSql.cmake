# Named SQL becomes part of a room: tertulia_embed_sql(TARGET NAMESPACE ns FOLDER dir) makes
# "ROOM/sql.h" (see embed_sql.cc).

add_executable(embed_sql ${CMAKE_SOURCE_DIR}/cmake/embed_sql.cc)

function(tertulia_embed_sql target)
  cmake_parse_arguments(ARG "" "NAMESPACE;FOLDER" "" ${ARGN})
  string(REPLACE "tertulia_" "" room ${target})
  set(out ${CMAKE_BINARY_DIR}/gen/${room})
  file(GLOB statements CONFIGURE_DEPENDS ${ARG_FOLDER}/*.sql)
  # A file that was taken away leaves no newer one behind: the list itself must be one.
  file(GENERATE OUTPUT ${out}/sql.list CONTENT "${statements}")
  add_custom_command(
    OUTPUT ${out}/sql.h ${out}/sql.cc
    COMMAND embed_sql ${ARG_FOLDER} ${ARG_NAMESPACE} ${out}
    DEPENDS embed_sql ${statements} ${out}/sql.list
    VERBATIM)
  target_sources(${target} PRIVATE ${out}/sql.cc ${out}/sql.h)
  target_include_directories(${target} PUBLIC ${CMAKE_BINARY_DIR}/gen)
endfunction()
