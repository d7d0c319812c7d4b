# SPDX-License-Identifier: Apache-2.0
# weir_embed(TARGET TABLE FOLDER FILES…): the bytes of FOLDER's files as `const struct embedded TABLE[]` (core/embedded.h) in a
# generated source of TARGET. As a script (cmake -DTABLE=… -DFOLDER=… -DFILES=… -DTO=… -P) it writes that source.
if(CMAKE_SCRIPT_MODE_FILE)
  set(arrays "")
  set(rows "")
  set(number 0)
  foreach(name IN LISTS FILES)
    file(READ ${FOLDER}/${name} bytes HEX)
    string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(APPEND arrays "static const unsigned char file_${number}[] = {\n${bytes}};\n")
    string(APPEND rows "    {\"${name}\", file_${number}, sizeof(file_${number})},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  file(WRITE ${TO} "/* Made by the build out of the files in ${FOLDER}. */\n#include \"embedded.h\"\n"
    "extern const struct embedded ${TABLE}[];\n${arrays}const struct embedded ${TABLE}[] = {\n${rows}    {0, 0, 0},\n};\n")
  return()
endif()

function(weir_embed target table folder)
  set(to ${CMAKE_CURRENT_BINARY_DIR}/${table}.c)
  set(script ${CMAKE_SOURCE_DIR}/cmake/WeirEmbed.cmake)
  list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/ OUTPUT_VARIABLE paths)
  add_custom_command(OUTPUT ${to} DEPENDS ${paths} ${script}
    COMMAND ${CMAKE_COMMAND} -DTABLE=${table} -DFOLDER=${CMAKE_CURRENT_SOURCE_DIR}/${folder} "-DFILES=${ARGN}" -DTO=${to}
      -P ${script} VERBATIM)
  target_sources(${target} PRIVATE ${to})
endfunction()
