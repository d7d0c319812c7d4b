# SPDX-License-Identifier: Apache-2.0
# How every target is compiled: language, warnings, sanitizers, hardening.
include(CheckCCompilerFlag)
include(CheckPIESupported)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "kind of build" FORCE)
endif()

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
check_pie_supported(LANGUAGES C)

add_compile_options(-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla)
option(WEIR_WERROR "warnings are errors" ON)
if(WEIR_WERROR)
  add_compile_options(-Werror)
endif()

set(WEIR_SANITIZE "" CACHE STRING "sanitizers to build with: address,undefined or thread")
if(WEIR_SANITIZE)
  add_compile_options(-fsanitize=${WEIR_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${WEIR_SANITIZE})
else()
  # A module must find all it uses in the libraries it names: nothing of weir's is linked by name.
  set(WEIR_MODULE_LINK_OPTIONS -Wl,-z,defs)
endif()

# Hardening of what is installed; tests/hardening looks for each of these in the binaries. Sanitizers bring checks of their
# own, and do not go together with fortified functions.
if(NOT WEIR_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(WEIR_HARDENED ON)
  # 3 knows the sizes of more objects than 2, from gcc 12 and glibc 2.34 on; older ones take it for 2, with a warning.
  include(CheckCSourceCompiles)
  set(CMAKE_REQUIRED_FLAGS "-O2 -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
  check_c_source_compiles("#include <string.h>
    #if !defined(__USE_FORTIFY_LEVEL) || __USE_FORTIFY_LEVEL < 3
    #error not known
    #endif
    int main(void) { return 0; }" WEIR_HAS_FORTIFY_3)
  unset(CMAKE_REQUIRED_FLAGS)
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$<IF:$<BOOL:${WEIR_HAS_FORTIFY_3}>,3,2>)
  set(hardening -fstack-protector-strong)
  foreach(flag -fstack-clash-protection -fcf-protection)
    string(MAKE_C_IDENTIFIER "WEIR_HAS${flag}" has)
    check_c_compiler_flag(${flag} ${has})
    if(${has})
      list(APPEND hardening ${flag})
    endif()
  endforeach()
  add_compile_options(${hardening})
  add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code)
endif()

# weir_module(NAME FOLDER SOURCES…): a plugin. weir refuses a .so that others may write to, whatever the umask here is.
function(weir_module name folder)
  add_library(${name} MODULE ${ARGN})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/include)
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE WEIR_VERSION="${PROJECT_VERSION}")
  target_link_options(${name} PRIVATE ${WEIR_MODULE_LINK_OPTIONS})
  set_target_properties(${name} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${folder})
  add_custom_command(TARGET ${name} POST_BUILD COMMAND chmod go-w $<TARGET_FILE:${name}> VERBATIM)
endfunction()
