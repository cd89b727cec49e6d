# Libraries of others. The library needs threads and nothing else. The command, tests and examples use what is found
# here, as PkgConfig::CMOCKA and so on. A part whose library is missing is left out, and the end of the configure output
# says so.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

# Notes for the summary that `component` is not built because the Debian packages named after it are missing.
function(headroom_left_out component)
    list(JOIN ARGN " " packages)
    set_property(GLOBAL APPEND PROPERTY HEADROOM_LEFT_OUT "${component}|${packages}")
endfunction()

# Looks up `module` with pkg-config as PkgConfig::`name`; when it is not there, remembers its Debian package in
# `name`_MISSING.
macro(headroom_find name module package)
    if(PKG_CONFIG_FOUND)
        pkg_check_modules(${name} QUIET IMPORTED_TARGET GLOBAL ${module})
    endif()
    set(${name}_MISSING "")
    if(NOT TARGET PkgConfig::${name})
        set(${name}_MISSING ${package})
    endif()
endmacro()

# A header alone, for the object store and a peer of the benchmarks. It is copied, so that the folder that it is in,
# which may be that of another libc, is not searched for anything else.
find_path(UTHASH_FOUND_DIR uthash.h)
set(UTHASH_MISSING "")
if(UTHASH_FOUND_DIR)
    set(UTHASH_INCLUDE_DIR ${PROJECT_BINARY_DIR}/uthash)
    configure_file(${UTHASH_FOUND_DIR}/uthash.h ${UTHASH_INCLUDE_DIR}/uthash.h COPYONLY)
else()
    set(UTHASH_MISSING uthash-dev)
endif()

if(HEADROOM_TESTS OR HEADROOM_EXAMPLES OR HEADROOM_CLI OR HEADROOM_HTTP OR HEADROOM_FUZZ)
    find_package(PkgConfig QUIET)
    if(NOT PKG_CONFIG_FOUND)
        headroom_left_out("whatever is found by pkg-config" pkg-config)
    endif()
    headroom_find(CMOCKA cmocka libcmocka-dev)
    headroom_find(FUSE fuse3 libfuse3-dev)
    headroom_find(JANSSON jansson libjansson-dev)
    headroom_find(LIBMICROHTTPD libmicrohttpd>=0.9.74 libmicrohttpd-dev)
    headroom_find(NCURSES ncursesw libncurses-dev)
    headroom_find(LIBCURL libcurl libcurl4-openssl-dev)
    headroom_find(LIBXXHASH libxxhash libxxhash-dev)
    # A part of glibc that other libcs have beside them, without a module of pkg-config's.
    include(CheckSymbolExists)
    check_symbol_exists(argp_parse argp.h ARGP_IN_LIBC)
    set(ARGP_MISSING "")
    if(NOT ARGP_IN_LIBC)
        set(ARGP_MISSING argp-standalone)
    endif()
endif()

# Says what is left out, and how to have it.
function(headroom_summary)
    get_property(left_out GLOBAL PROPERTY HEADROOM_LEFT_OUT)
    list(REMOVE_DUPLICATES left_out)
    message(STATUS "headroom ${PROJECT_VERSION}, ${CMAKE_BUILD_TYPE}: "
                   "tests ${HEADROOM_TESTS}, command ${HEADROOM_CLI}, examples ${HEADROOM_EXAMPLES}")
    foreach(entry IN LISTS left_out)
        string(REPLACE "|" ";" entry "${entry}")
        list(GET entry 0 component)
        list(GET entry 1 packages)
        set(remedy "Debian: apt-get install ${packages}")
        if(packages MATCHES argp-standalone) # no package of Debian's
            set(remedy "it needs argp.h: glibc has it; on another libc install argp-standalone from its source")
        endif()
        message(STATUS "  left out: ${component} (${remedy})")
    endforeach()
    if(NOT left_out)
        message(STATUS "  nothing is left out")
    endif()
endfunction()
