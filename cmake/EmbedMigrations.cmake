# The migrations become part of a room: tertulia_embed_migrations(TARGET FOLDER dir) makes
# embedded_migrations.cc, which defines schema::embedded_migrations().
#
# Run as a script (cmake -P) at build, this file writes that source. It fails the build where a
# number is missing or used twice, a folder lacks its up or down, or a dialect lacks its twin.

if(CMAKE_SCRIPT_MODE_FILE)
  # The SQL of a direction in one dialect, as a C++ raw string.
  function(read_sql folder direction dialect result)
    set(shared ${folder}/${direction}.sql)
    set(own ${folder}/${direction}.${dialect}.sql)
    if(EXISTS ${shared} AND EXISTS ${own})
      message(FATAL_ERROR "${shared} and ${own}: there must be one of them")
    elseif(EXISTS ${own})
      set(path ${own})
    elseif(EXISTS ${shared})
      set(path ${shared})
    else()
      message(FATAL_ERROR "${folder} has neither ${direction}.sql nor ${direction}.${dialect}.sql")
    endif()
    file(READ ${path} text)
    if(text MATCHES "\\)TERTULIA\"")
      message(FATAL_ERROR "${path} holds the end mark of a raw string")
    endif()
    set(${result} "R\"TERTULIA(${text})TERTULIA\"" PARENT_SCOPE)
  endfunction()

  file(GLOB folders LIST_DIRECTORIES true ${FOLDER}/*)
  list(SORT folders)
  set(expected 1)
  set(rows "")
  foreach(folder IN LISTS folders)
    get_filename_component(base ${folder} NAME)
    if(NOT base MATCHES "^([0-9][0-9][0-9][0-9])_([a-z0-9_]+)$")
      message(FATAL_ERROR "${folder}: a migration's folder is called NNNN_name")
    endif()
    set(name ${CMAKE_MATCH_2})
    string(REGEX REPLACE "^0+" "" number ${CMAKE_MATCH_1})
    if(NOT number STREQUAL expected)
      message(FATAL_ERROR "${folder}: the next migration's number is ${expected}")
    endif()
    math(EXPR expected "${expected} + 1")
    read_sql(${folder} up sqlite up_sqlite)
    read_sql(${folder} up postgres up_postgres)
    read_sql(${folder} down sqlite down_sqlite)
    read_sql(${folder} down postgres down_postgres)
    string(APPEND rows
           "    {${number}, \"${name}\",\n${up_sqlite},\n${down_sqlite},\n"
           "${up_postgres},\n${down_postgres}},\n")
  endforeach()
  file(WRITE ${OUT}.new
       "#include \"schema/embedded_migrations.h\"\n\nnamespace tertulia::schema {\nnamespace {\n"
       "constexpr EmbeddedMigration kMigrations[] = {\n${rows}};\n}  // namespace\n\n"
       "std::span<const EmbeddedMigration> embedded_migrations() {\n  return kMigrations;\n}\n\n"
       "}  // namespace tertulia::schema\n")
  file(RENAME ${OUT}.new ${OUT})
  return()
endif()

set(TERTULIA_EMBED_MIGRATIONS ${CMAKE_CURRENT_LIST_FILE})

function(tertulia_embed_migrations target)
  cmake_parse_arguments(ARG "" "FOLDER" "" ${ARGN})
  set(out ${CMAKE_BINARY_DIR}/gen/schema/embedded_migrations.cc)
  file(GLOB sql CONFIGURE_DEPENDS ${ARG_FOLDER}/*/*.sql)
  # A migration that was taken away leaves no newer file behind: the list itself must be one.
  file(GENERATE OUTPUT ${out}.list CONTENT "${sql}")
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DFOLDER=${ARG_FOLDER} -DOUT=${out} -P ${TERTULIA_EMBED_MIGRATIONS}
    DEPENDS ${sql} ${out}.list ${TERTULIA_EMBED_MIGRATIONS}
    VERBATIM)
  target_sources(${target} PRIVATE ${out})
endfunction()
