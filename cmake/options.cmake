# Compile and link options: `headroom_own_options` carries what all of our own targets share.
add_library(headroom_own_options INTERFACE)

target_compile_options(headroom_own_options INTERFACE
    -Wall -Wextra -Wshadow -Wconversion
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
    $<$<BOOL:${HEADROOM_WERROR}>:-Werror>
    # Cancellation unwinds through our C, so that scope.h's releases run.
    -fexceptions
    # Assertions and debug information name files from the top of the tree, not from the machine that built it.
    -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
# Empty, and not 1, so that a source that defines it itself does not clash. C++ compilers define it already.
target_compile_definitions(headroom_own_options INTERFACE
    $<$<COMPILE_LANGUAGE:C>:_GNU_SOURCE=>
    $<$<CONFIG:Debug>:HRI_DEBUG=1>)

if(HEADROOM_SANITIZE)
    # For the whole tree: a half instrumented program proves nothing.
    add_compile_options(-fsanitize=${HEADROOM_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${HEADROOM_SANITIZE})
    # gcc defines it itself; tests ask for it.
    if(CMAKE_C_COMPILER_ID STREQUAL "Clang" AND HEADROOM_SANITIZE MATCHES "address")
        add_compile_definitions(__SANITIZE_ADDRESS__=1)
    endif()
endif()
if(HEADROOM_COVERAGE)
    add_compile_options(--coverage)
    add_link_options(--coverage)
endif()
if(HEADROOM_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
