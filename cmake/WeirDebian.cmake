# SPDX-License-Identifier: Apache-2.0
# `cpack` in the build folder makes weir_VERSION_ARCH.deb (the daemon with its plugins and its unit) and weir-dev_… (what
# plugins are built with). scripts/package does all of it. The version is project()'s.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME weir)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "weir <weir@localhost>" CACHE STRING "who maintains the packages")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL weir dev)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
  WORLD_EXECUTE)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_HOMEPAGE "")

set(CPACK_DEBIAN_WEIR_PACKAGE_NAME weir)
set(CPACK_DEBIAN_WEIR_PACKAGE_SECTION admin)
# libmicrohttpd is loaded at run time, so dpkg-shlibdeps does not see it.
set(CPACK_DEBIAN_WEIR_PACKAGE_DEPENDS "adduser, libmicrohttpd12 | libmicrohttpd12t64")
set(CPACK_DEBIAN_WEIR_PACKAGE_SUGGESTS "weir-dev, etcd-server")
set(CPACK_DEBIAN_WEIR_DESCRIPTION "log shipper that loses nothing and changes live
weir follows log files and delivers every line to Kafka or another output.
The list of files can be kept in etcd. Where a file was read to is remembered
only once its lines have been acknowledged; inputs, outputs and plugins are
changed while it runs.")
set(CPACK_COMPONENT_WEIR_DESCRIPTION ${CPACK_DEBIAN_WEIR_DESCRIPTION})
set(CPACK_DEBIAN_WEIR_PACKAGE_CONTROL_EXTRA packaging/conffiles packaging/postinst packaging/prerm packaging/postrm)
list(TRANSFORM CPACK_DEBIAN_WEIR_PACKAGE_CONTROL_EXTRA PREPEND ${CMAKE_SOURCE_DIR}/)

set(CPACK_DEBIAN_DEV_PACKAGE_NAME weir-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_SUGGESTS weir)
set(CPACK_COMPONENT_DEV_DESCRIPTION "log shipper - what plugins are built with
The header that a plugin includes, the fake host for its tests, and the
pkg-config and CMake files.")

# What only a package has. EXCLUDE_FROM_ALL: `cmake --install` puts nothing in /etc.
install(FILES packaging/weir.yaml DESTINATION /etc/weir COMPONENT weir EXCLUDE_FROM_ALL)
install(FILES packaging/copyright DESTINATION share/doc/weir COMPONENT weir EXCLUDE_FROM_ALL)
install(FILES packaging/copyright DESTINATION share/doc/weir-dev COMPONENT dev EXCLUDE_FROM_ALL)
if(TARGET manual)
  string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC)
  file(WRITE ${CMAKE_BINARY_DIR}/man/changelog "weir (${PROJECT_VERSION}) unstable; urgency=medium\n\n"
    "  * What is new: /usr/share/doc/weir/CHANGELOG.md\n\n -- ${CPACK_PACKAGE_CONTACT}  ${now}\n")
  foreach(package weir weir-dev)
    string(REPLACE weir-dev dev component ${package})
    install(FILES ${CMAKE_BINARY_DIR}/man/changelog.gz DESTINATION share/doc/${package} COMPONENT ${component}
      EXCLUDE_FROM_ALL)
  endforeach()
endif()
include(CPack)
