# SPDX-License-Identifier: Apache-2.0
# weir_embed(TARGET FILES…): the files' bytes as arrays of a generated source, for core/page.c: page_index_html[] and
# page_index_html_size for index.html. As a script (cmake -DFILES=… -DTO=… -P) it writes that source.
if(CMAKE_SCRIPT_MODE_FILE)
  set(text "/* Made by the build out of the files in core/page. */\n#include <stddef.h>\n#include \"page.h\"\n")
  foreach(file IN LISTS FILES)
    get_filename_component(name ${file} NAME)
    string(MAKE_C_IDENTIFIER page_${name} name)
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(APPEND text "const unsigned char ${name}[] = {\n${bytes}};\nconst size_t ${name}_size = sizeof(${name});\n")
  endforeach()
  file(WRITE ${TO} "${text}")
  return()
endif()

function(weir_embed target)
  set(to ${CMAKE_CURRENT_BINARY_DIR}/page_data.c)
  list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  add_custom_command(OUTPUT ${to} DEPENDS ${ARGN} ${CMAKE_SOURCE_DIR}/cmake/WeirEmbed.cmake
    COMMAND ${CMAKE_COMMAND} "-DFILES=${ARGN}" -DTO=${to} -P ${CMAKE_SOURCE_DIR}/cmake/WeirEmbed.cmake VERBATIM)
  target_sources(${target} PRIVATE ${to})
endfunction()
