# The page of `headroom report --html`: bundled by npm, out of the source tree, into one C file with constants. It sets
# HEADROOM_PAGE_SOURCE. A release tarball has that file as web/page.c, so that it needs no npm.
set(HEADROOM_PAGE_SOURCE ${PROJECT_BINARY_DIR}/web/page.c)
set(page_folder ${PROJECT_BINARY_DIR}/web)
option(HEADROOM_PAGE "Bundle the page of reports, by npm and from its registry" ON)
find_program(HEADROOM_NPM npm)
find_program(HEADROOM_NODE NAMES node nodejs)

if(EXISTS ${PROJECT_SOURCE_DIR}/web/page.c)
    set(HEADROOM_PAGE_SOURCE ${PROJECT_SOURCE_DIR}/web/page.c)
elseif(HEADROOM_PAGE AND HEADROOM_NPM AND HEADROOM_NODE)
    file(GLOB page_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/web/src/*)
    add_custom_command(OUTPUT ${HEADROOM_PAGE_SOURCE}
        COMMAND ${CMAKE_COMMAND} -D NPM=${HEADROOM_NPM} -D NODE=${HEADROOM_NODE} -D FROM=${PROJECT_SOURCE_DIR}/web
                -D FOLDER=${page_folder} -D OUTPUT=${HEADROOM_PAGE_SOURCE} -P ${PROJECT_SOURCE_DIR}/web/bundle.cmake
        DEPENDS ${page_sources} ${PROJECT_SOURCE_DIR}/web/package.json ${PROJECT_SOURCE_DIR}/web/package-lock.json
                ${PROJECT_SOURCE_DIR}/web/build.mjs ${PROJECT_SOURCE_DIR}/web/bundle.cmake
                ${PROJECT_SOURCE_DIR}/web/none.c
        COMMENT "Bundling the page"
        VERBATIM)
else()
    set(HEADROOM_PAGE_SOURCE ${PROJECT_SOURCE_DIR}/web/none.c)
    if(HEADROOM_PAGE)
        headroom_left_out("the page of reports (headroom report --html)" npm)
    endif()
endif()
set_source_files_properties(${HEADROOM_PAGE_SOURCE} PROPERTIES
    INCLUDE_DIRECTORIES ${PROJECT_SOURCE_DIR}/src COMPILE_OPTIONS "-fno-exceptions;-fasynchronous-unwind-tables")
