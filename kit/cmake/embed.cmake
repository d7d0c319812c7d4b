# SPDX-License-Identifier: Apache-2.0
# cmake -DFOLDER=… -DFILES=a;b -DOUT=… -P embed.cmake: the files' bytes as a table in C, struct embedded of new_plugin.c.
set(arrays "")
set(table "")
set(number 0)
foreach(name IN LISTS FILES)
  file(READ ${FOLDER}/${name} bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(APPEND arrays "static const unsigned char file_${number}[] = {${bytes}};\n")
  string(APPEND table "    {\"${name}\", file_${number}, sizeof(file_${number})},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT} "#include \"embedded.h\"\n${arrays}\nconst struct embedded embedded_files[] = {\n${table}    {0, 0, 0},\n};\n")
