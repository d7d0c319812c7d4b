# SPDX-License-Identifier: Apache-2.0
# bin/weir, lib/weir/*.so (in weir_plugin), an example configuration, the documents: component weir. What plugins are
# built with is the component dev (kit/CMakeLists.txt).
install(TARGETS weir RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT weir)
install(FILES conf/weir.yaml conf/kafka.yaml conf/etcd.yaml conf/prometheus.rules DESTINATION ${CMAKE_INSTALL_DATADIR}/weir/examples COMPONENT weir)
install(FILES conf/weir.service DESTINATION lib/systemd/system COMPONENT weir)
install(FILES README.md docs/operations.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT weir)
