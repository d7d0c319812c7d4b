# SPDX-License-Identifier: Apache-2.0
# bin/weir, lib/weir/*.so (in weir_plugin), include/weir/*.h, an example configuration, the documents.
install(TARGETS weir RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY include/weir DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES conf/weir.yaml conf/kafka.yaml conf/etcd.yaml DESTINATION ${CMAKE_INSTALL_DATADIR}/weir/examples)
install(FILES conf/weir.service DESTINATION lib/systemd/system)
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
