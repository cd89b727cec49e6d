# A toolchain for Debian's musl-gcc (package musl-tools): cmake --preset musl
#
# musl-gcc searches no kernel headers, and /usr/include as a whole would bring in glibc's. So the folders of the
# kernel's headers alone are linked into one that the compiler searches last.
set(CMAKE_C_COMPILER musl-gcc)
set(kernel_headers ${CMAKE_BINARY_DIR}/kernel-headers)
if(CMAKE_BINARY_DIR MATCHES "CMakeScratch|CMakeTmp" OR NOT EXISTS /usr/include/linux/membarrier.h)
    set(kernel_headers "")
else()
    execute_process(COMMAND gcc -print-multiarch OUTPUT_VARIABLE multiarch OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    file(MAKE_DIRECTORY ${kernel_headers})
    file(CREATE_LINK /usr/include/linux ${kernel_headers}/linux SYMBOLIC)
    file(CREATE_LINK /usr/include/asm-generic ${kernel_headers}/asm-generic SYMBOLIC)
    file(CREATE_LINK /usr/include/${multiarch}/asm ${kernel_headers}/asm SYMBOLIC)
    set(CMAKE_C_FLAGS_INIT "-idirafter ${kernel_headers}")
endif()
