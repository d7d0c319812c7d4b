# SPDX-License-Identifier: Apache-2.0
# Libraries, found by pkg-config under any of the names that Debian and upstream give them.
find_program(WEIR_PKG_CONFIG NAMES pkg-config pkgconf)
if(NOT WEIR_PKG_CONFIG)
  message(FATAL_ERROR "pkg-config is missing. On Debian: apt install pkg-config")
endif()
find_package(PkgConfig REQUIRED)

# weir_find(PREFIX NAMES…): makes PkgConfig::PREFIX where one of the names is known. Sets PREFIX_FOUND.
macro(weir_find prefix)
  pkg_search_module(${prefix} QUIET IMPORTED_TARGET ${ARGN})
endmacro()

# weir_package(PREFIX DEBIAN_PACKAGE NAMES…): the same, and ends with what to install where it is missing.
macro(weir_package prefix debian)
  weir_find(${prefix} ${ARGN})
  if(NOT ${prefix}_FOUND)
    message(FATAL_ERROR "${ARGN}: not found by pkg-config. On Debian: apt install ${debian}")
  endif()
endmacro()
