# The files that `cmake --install` brings: libraries, headers, the pkg-config file, the CMake package, man pages,
# programs.
include(CMakePackageConfigHelpers)

set(cmake_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/headroom)

install(TARGETS headroom headroom_static EXPORT headroom-targets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")

# The pkg-config file finds the prefix from its own place, so `cmake --install --prefix` and a moved tree work too.
cmake_path(IS_ABSOLUTE CMAKE_INSTALL_LIBDIR libdir_is_absolute)
cmake_path(IS_ABSOLUTE CMAKE_INSTALL_INCLUDEDIR includedir_is_absolute)
if(libdir_is_absolute OR includedir_is_absolute)
    set(pc_prefix ${CMAKE_INSTALL_PREFIX})
    set(pc_libdir ${CMAKE_INSTALL_FULL_LIBDIR})
    set(pc_includedir ${CMAKE_INSTALL_FULL_INCLUDEDIR})
else()
    file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    string(REGEX REPLACE "/$" "" up "${up}")
    set(pc_prefix "\${pcfiledir}/${up}")
    set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
    set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(cmake/headroom.pc.in headroom.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/headroom.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

configure_package_config_file(cmake/headroomConfig.cmake.in headroomConfig.cmake
    INSTALL_DESTINATION ${cmake_package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(headroomConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    ${CMAKE_CURRENT_BINARY_DIR}/headroomConfig.cmake
    ${CMAKE_CURRENT_BINARY_DIR}/headroomConfigVersion.cmake
    DESTINATION ${cmake_package_dir})
install(EXPORT headroom-targets FILE headroomTargets.cmake NAMESPACE headroom:: DESTINATION ${cmake_package_dir})

foreach(section RANGE 1 8)
    file(GLOB pages CONFIGURE_DEPENDS docs/man/*.${section})
    if(pages)
        install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
    endif()
endforeach()

# The pages of section 3 are made from the comments of the headers.
find_package(Python3 QUIET COMPONENTS Interpreter)
if(Python3_FOUND)
    file(GLOB reference_headers CONFIGURE_DEPENDS include/headroom/*.h adapters/*/include/headroom/*.h)
    list(FILTER reference_headers EXCLUDE REGEX "/(headroom|pool_inline)\\.h$")
    set(reference_dir ${PROJECT_BINARY_DIR}/man3)
    string(TIMESTAMP reference_date "%Y-%m-%d" UTC)
    add_custom_command(OUTPUT ${reference_dir}/made
        COMMAND ${CMAKE_COMMAND} -E rm -rf ${reference_dir}
        COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/scripts/reference --man ${reference_dir}
            --date ${reference_date} ${reference_headers}
        COMMAND ${CMAKE_COMMAND} -E touch ${reference_dir}/made
        DEPENDS ${reference_headers} scripts/reference
        COMMENT "Making the man pages of section 3" VERBATIM)
    add_custom_target(headroom-man ALL DEPENDS ${reference_dir}/made)
    install(DIRECTORY ${reference_dir}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man3 FILES_MATCHING PATTERN "*.3")
else()
    headroom_left_out("the man pages of section 3" python3)
endif()

if(TARGET headroom_compressed)
    install(TARGETS headroom_compressed EXPORT headroom-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(DIRECTORY adapters/compressed/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
    configure_file(cmake/headroom-compressed.pc.in headroom-compressed.pc @ONLY)
    install(FILES ${CMAKE_CURRENT_BINARY_DIR}/headroom-compressed.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
if(TARGET headroom_http)
    install(TARGETS headroom_http EXPORT headroom-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(DIRECTORY adapters/http/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
    configure_file(cmake/headroom-http.pc.in headroom-http.pc @ONLY)
    install(FILES ${CMAKE_CURRENT_BINARY_DIR}/headroom-http.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
# Programs load it and do not link it: so it has no link name, no headers and no pkg-config file.
if(TARGET headroom_malloc)
    install(TARGETS headroom_malloc LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_SKIP)
endif()
# The licence, and what the man pages point at.
file(GLOB documents CONFIGURE_DEPENDS docs/*.md)
install(FILES LICENSE README.md CHANGELOG.md ${documents} DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/strategies DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")
file(GLOB example_sources CONFIGURE_DEPENDS examples/*.c examples/*.cpp)
install(FILES ${example_sources} DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(DIRECTORY examples/store/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples/store
    FILES_MATCHING PATTERN "*.c" PATTERN "*.h" PATTERN "CMakeLists.txt" PATTERN "*.md")
# The schema of reports, and alerts for Prometheus.
install(FILES schemas/report.schema.json integrations/prometheus/alerts.yml integrations/grafana/headroom.json
    DESTINATION ${CMAKE_INSTALL_DATADIR}/headroom)

# Installs the files by which shells complete a command's words.
function(headroom_install_completions command folder)
    # Debian's zsh looks for those of packages beside those of the administrator.
    set(zsh_dir site-functions)
    if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
        set(zsh_dir vendor-completions)
    endif()
    set(data ${CMAKE_INSTALL_DATADIR})
    install(FILES ${folder}/completion.bash DESTINATION ${data}/bash-completion/completions RENAME ${command})
    install(FILES ${folder}/completion.fish DESTINATION ${data}/fish/vendor_completions.d RENAME ${command}.fish)
    install(FILES ${folder}/completion.zsh DESTINATION ${data}/zsh/${zsh_dir} RENAME _${command})
endfunction()

if(TARGET headroom-command)
    install(TARGETS headroom-command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    headroom_install_completions(headroom cli)
endif()

# The object store of examples/store is of use by itself.
if(TARGET headroom-store)
    install(TARGETS headroom-store RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    headroom_install_completions(headroom-store examples/store)
    file(RELATIVE_PATH to_lib "/${CMAKE_INSTALL_BINDIR}" "/${CMAKE_INSTALL_LIBDIR}")
    set_target_properties(headroom-store PROPERTIES INSTALL_RPATH "$ORIGIN/${to_lib}")
endif()
