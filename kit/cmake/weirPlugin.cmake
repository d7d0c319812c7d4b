# SPDX-License-Identifier: Apache-2.0
include(GNUInstallDirs)

# weir_add_plugin(NAME SOURCES…): a plugin, which is a module of that name without a prefix, and its installation into
# <libdir>/weir. NAME is in_x for an input and out_x for an output, where x is the name in its descriptor: by that weir
# finds the file. Nothing but the descriptor is visible outside, and everything that it uses must be found in the
# libraries that it names.
function(weir_add_plugin name)
  if(NOT name MATCHES "^(in|out)_[a-z][a-z0-9_]*$")
    message(FATAL_ERROR "weir_add_plugin: '${name}' is neither in_x nor out_x, with x of small letters, digits and _")
  endif()
  if(NOT ARGN)
    message(FATAL_ERROR "weir_add_plugin: '${name}' has no sources")
  endif()
  add_library(${name} MODULE ${ARGN})
  target_link_libraries(${name} PRIVATE weir::plugin)
  set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".so" C_VISIBILITY_PRESET hidden
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  # Sanitizers leave what they need to the program.
  if(NOT "${CMAKE_C_FLAGS} ${CMAKE_CXX_FLAGS}" MATCHES "-fsanitize")
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
  # weir refuses a file that everybody may write to, whatever the umask is here.
  add_custom_command(TARGET ${name} POST_BUILD COMMAND chmod go-w $<TARGET_FILE:${name}> VERBATIM)
  install(TARGETS ${name} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/weir)
endfunction()
