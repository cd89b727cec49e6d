#!/usr/bin/env bash
# Programs of somebody else's, in C11, C17 and C++17, are built against the installed library: through pkg-config and
# through CMake's find_package(), shared and static. The tree is moved after it is installed, since packages are.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to install}"
here=$(cd "$(dirname "$0")" && pwd)
test=install
# shellcheck source=tests/install/_common.sh
source "$here/_common.sh"
install_build

missing() {
    echo "install: $1 is not installed; there are:"
    (cd "$prefix" && find . -type f -o -type l | sort | sed 's/^/    /')
    exit 1
}
for file in libheadroom.so "libheadroom.so.$version" libheadroom.a pkgconfig/headroom.pc \
    cmake/headroom/headroomConfig.cmake; do
    [ -e "$libdir/$file" ] || missing "$libdir/$file"
done
for header in "$HEADROOM_SOURCE_DIR"/include/headroom/*.h; do
    [ -e "$prefix/include/headroom/${header##*/}" ] || missing "headroom/${header##*/}"
done
# Each program that the build made is installed with its man page and completions.
[ ! -e "$HEADROOM_BUILD_DIR/man3/made" ] || [ -e "$prefix/share/man/man3/hr_alloc.3" ] ||
    missing share/man/man3/hr_alloc.3
if [ -x "$HEADROOM_BUILD_DIR/cli/headroom" ]; then
    for file in bin/headroom share/bash-completion/completions/headroom \
        share/fish/vendor_completions.d/headroom.fish share/zsh/site-functions/_headroom share/man/man1/headroom.1 \
        share/man/man1/headroom-doctor.1; do
        [ -e "$prefix/$file" ] || missing "$file"
    done
    if [ -x "$HEADROOM_BUILD_DIR/examples/store/headroom-store" ]; then
        for file in bin/headroom-store share/bash-completion/completions/headroom-store \
            share/fish/vendor_completions.d/headroom-store.fish share/zsh/site-functions/_headroom-store \
            share/man/man1/headroom-store.1; do
            [ -e "$prefix/$file" ] || missing "$file"
        done
    fi
    "$prefix/bin/headroom" doctor --json | grep -q '"limit_bytes"' || {
        echo "install: the installed headroom doctor gives no report"
        exit 1
    }
fi
check_soname "$libdir/libheadroom.so"

# As a program would have it: warnings are errors there, too.
copy_program program
use_pkg_config headroom
read -ra static_libs <<<"$(pkg-config --static --libs headroom)"
case " ${cflags[*]} " in *" -fexceptions "*) ;; *)
    echo "install: pkg-config --cflags leaves out -fexceptions, without which cancellation releases nothing"
    exit 1
    ;;
esac

# try NAME COMMAND...: builds $work/program, then runs it.
try() {
    echo "install: $1"
    shift
    "$@" -Wall -Wextra -Werror -o "$work/program"
    LD_LIBRARY_PATH=$libdir "$work/program"
}
for standard in c11 c17; do
    compile=(gcc "-std=$standard" -pedantic "${cflags[@]}" "$work/program.c")
    try "$standard, shared" "${compile[@]}" "${libs[@]}"
    try "$standard, static" "${compile[@]}" -static "${static_libs[@]}"
done
compile=(g++ -std=c++17 -pedantic "${cflags[@]}" "$work/program.cpp")
try "c++17, shared" "${compile[@]}" "${libs[@]}"
try "c++17, static" "${compile[@]}" -static "${static_libs[@]}"

cat >"$work/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(somebody LANGUAGES C CXX)
find_package(headroom 0.1 REQUIRED)
foreach(kind headroom static)
    foreach(standard 11 17)
        add_executable(c${standard}-${kind} program.c)
        set_target_properties(c${standard}-${kind} PROPERTIES C_STANDARD ${standard} C_EXTENSIONS OFF)
    endforeach()
    add_executable(c++17-${kind} program.cpp)
    set_target_properties(c++17-${kind} PROPERTIES CXX_STANDARD 17 CXX_EXTENSIONS OFF)
    foreach(program c11-${kind} c17-${kind} c++17-${kind})
        target_link_libraries(${program} PRIVATE headroom::${kind})
        target_compile_options(${program} PRIVATE -Wall -Wextra -Werror)
    endforeach()
endforeach()
CMAKE
cmake -G Ninja -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" || { cat "$work/log"; exit 1; }
cmake --build "$work/build" >"$work/log" || { cat "$work/log"; exit 1; }
for program in c11 c17 c++17; do
    for kind in headroom static; do
        echo "install: find_package, $program, headroom::$kind"
        "$work/build/$program-$kind"
    done
done
