# SPDX-License-Identifier: Apache-2.0
# Each header compiles alone: a public one in every language a plugin may be written in, a core one in ours.
include(CheckLanguage)
check_language(CXX)

# header_test(NAME COMPILER HEADER FLAGS…)
function(header_test name compiler header)
  add_test(NAME header_${name} COMMAND ${compiler} ${ARGN} -Wall -Wextra -Werror -fsyntax-only
    -I${CMAKE_SOURCE_DIR}/include -include ${header} /dev/null)
  set_tests_properties(header_${name} PROPERTIES TIMEOUT 60)
endfunction()

file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/include/weir/*.h)
foreach(header IN LISTS headers)
  get_filename_component(name ${header} NAME_WE)
  foreach(std c99 c11)
    header_test(weir_${name}_${std} ${CMAKE_C_COMPILER} ${header} -x c -std=${std} -Wpedantic)
  endforeach()
  if(CMAKE_CXX_COMPILER)
    header_test(weir_${name}_c++17 ${CMAKE_CXX_COMPILER} ${header} -x c++ -std=c++17 -Wpedantic)
  endif()
endforeach()

file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/*.h)
foreach(header IN LISTS headers)
  get_filename_component(name ${header} NAME_WE)
  header_test(core_${name} ${CMAKE_C_COMPILER} ${header} -x c -std=gnu11 -D_GNU_SOURCE -I${CMAKE_SOURCE_DIR}/core)
endforeach()
