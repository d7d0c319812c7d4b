# SPDX-License-Identifier: Apache-2.0
# The manual pages, compressed as Debian has them: weir(8), and weir.yaml(5) out of the option tables of the program that
# was just built. Where that can't run here (another processor's), weir.yaml(5) lacks the options.
find_program(WEIR_GZIP gzip)
string(TIMESTAMP manual_date "%Y-%m-%d" UTC)
if(WEIR_GZIP AND NOT WEIR_SANITIZE AND NOT CMAKE_CROSSCOMPILING)
  set(manual_edit sed -e s/@VERSION@/${PROJECT_VERSION}/ -e s/@DATE@/${manual_date}/)
  set(manual ${CMAKE_BINARY_DIR}/man)
  set(source ${CMAKE_SOURCE_DIR}/man)
  file(MAKE_DIRECTORY ${manual})
  add_custom_command(OUTPUT ${manual}/weir.8.gz DEPENDS ${source}/weir.8 VERBATIM
    COMMAND ${manual_edit} ${source}/weir.8 > ${manual}/weir.8
    COMMAND ${WEIR_GZIP} -9nkf ${manual}/weir.8)
  add_custom_command(OUTPUT ${manual}/weir.yaml.5.gz VERBATIM
    DEPENDS ${source}/weir.yaml.5.in ${source}/options-to-roff weir in_tail in_etcd out_kafka out_stdout
    COMMAND ${source}/options-to-roff $<TARGET_FILE:weir> > ${manual}/options
    COMMAND ${manual_edit} ${source}/weir.yaml.5.in ${manual}/options > ${manual}/weir.yaml.5
    COMMAND ${WEIR_GZIP} -9nkf ${manual}/weir.yaml.5)
  add_custom_command(OUTPUT ${manual}/changelog.gz DEPENDS ${manual}/changelog VERBATIM
    COMMAND ${WEIR_GZIP} -9nkf ${manual}/changelog)
  add_custom_target(manual ALL DEPENDS ${manual}/weir.8.gz ${manual}/weir.yaml.5.gz ${manual}/changelog.gz)
  install(FILES ${manual}/weir.8.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 COMPONENT weir)
  install(FILES ${manual}/weir.yaml.5.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man5 COMPONENT weir)
endif()
install(FILES packaging/completion.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME weir COMPONENT weir)
install(FILES packaging/completion.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _weir COMPONENT weir)
