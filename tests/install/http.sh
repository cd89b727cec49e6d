#!/usr/bin/env bash
# As install.sh, for libheadroom-http: a component that a build may leave out, with what it needs or without.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to install}"
here=$(cd "$(dirname "$0")" && pwd)
test=http
# shellcheck source=tests/install/_common.sh
source "$here/_common.sh"
if [ ! -e "$HEADROOM_BUILD_DIR/adapters/http/libheadroom-http.so" ]; then
    echo "skipped: this build has no libmicrohttpd"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset DESTDIR
version=$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' "$HEADROOM_BUILD_DIR/CMakeCache.txt")
cmake --install "$HEADROOM_BUILD_DIR" --prefix "$work/first" >"$work/log"
mv "$work/first" "$work/prefix"
prefix=$work/prefix
libdir=$(dirname "$(find "$prefix" -name libheadroom.a)")

for file in "$libdir/libheadroom-http.so.$version" "$libdir/pkgconfig/headroom-http.pc" \
    "$prefix/include/headroom/http.h"; do
    [ -e "$file" ] || { echo "http: ${file#"$prefix/"} is not installed"; exit 1; }
done
check_soname "$libdir/libheadroom-http.so" "$version"
if nm -D --defined-only "$libdir/libheadroom-http.so" | awk '{print $NF}' | grep -v '^hr_'; then
    echo "http: the names above are no names of its interface, and should be hidden"
    exit 1
fi

# As a program would have it: warnings are errors there, too.
cp "$here/http.c" "$work/http.c"
cp "$here/http.c" "$work/http.cpp"
use_pkg_config "$libdir" headroom-http "$version"
read -ra cflags <<<"$(pkg-config --cflags headroom-http)"
read -ra libs <<<"$(pkg-config --libs headroom-http)"
try() {
    echo "http: $1"
    shift
    "$@" -pedantic -Wall -Wextra -Werror -o "$work/program" "${libs[@]}"
    LD_LIBRARY_PATH=$libdir "$work/program"
}
try "pkg-config, c11" gcc -std=c11 "${cflags[@]}" "$work/http.c"
try "pkg-config, c17" gcc -std=c17 "${cflags[@]}" "$work/http.c"
try "pkg-config, c++17" g++ -std=c++17 "${cflags[@]}" "$work/http.cpp"

cat >"$work/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(somebody LANGUAGES C CXX)
find_package(headroom 0.1 REQUIRED COMPONENTS http static)
find_package(headroom 0.1 QUIET COMPONENTS nonsense)
if(headroom_FOUND)
    message(FATAL_ERROR "a component that is not there is found")
endif()
foreach(language c cpp)
    add_executable(${language} http.${language})
    set_target_properties(${language} PROPERTIES C_STANDARD 17 CXX_STANDARD 17 C_EXTENSIONS OFF CXX_EXTENSIONS OFF)
    target_link_libraries(${language} PRIVATE headroom::http)
    target_compile_options(${language} PRIVATE -Wall -Wextra -Werror)
endforeach()
CMAKE
cmake -G Ninja -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" || { cat "$work/log"; exit 1; }
cmake --build "$work/build" >"$work/log" || { cat "$work/log"; exit 1; }
for program in c cpp; do
    echo "http: find_package, $program"
    "$work/build/$program"
done
