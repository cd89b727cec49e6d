# shellcheck shell=bash
# What the tests of an installation share; `test` is what they call themselves.
: "${test:?is the name of the test}" "${here:=$(dirname "${BASH_SOURCE[0]}")}"

complain() { # text
    echo "$test: $1"
    exit 1
}

check_soname() { # library version
    local expected soname
    expected=$(basename "$1").${2%%.*}
    soname=$(readelf -d "$1" | sed -n 's/.*SONAME.*\[\(.*\)\].*/\1/p')
    [ "$soname" = "$expected" ] || complain "the library calls itself '$soname'; it should be $expected"
}

# From here on pkg-config sees what is installed in a folder, and nothing else of it.
use_pkg_config() { # libdir name version
    local said
    export PKG_CONFIG_PATH=$1/pkgconfig
    unset PKG_CONFIG_LIBDIR
    said=$(pkg-config --modversion "$2")
    [ "$said" = "$3" ] || complain "pkg-config says version $said, CMake $3"
}

# check_component NAME: installs a build, and has programs use the component libheadroom-NAME from there, by pkg-config
# and by CMake. tests/install/NAME.c is C and C++.
check_component() {
    local name=$1 version prefix libdir file cflags libs program
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    unset DESTDIR
    version=$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' "$HEADROOM_BUILD_DIR/CMakeCache.txt")
    cmake --install "$HEADROOM_BUILD_DIR" --prefix "$work/first" >"$work/log"
    mv "$work/first" "$work/prefix"
    prefix=$work/prefix
    libdir=$(dirname "$(find "$prefix" -name libheadroom.a)")
    for file in "$libdir/libheadroom-$name.so.$version" "$libdir/pkgconfig/headroom-$name.pc" \
        "$prefix/include/headroom/$name.h"; do
        [ -e "$file" ] || complain "${file#"$prefix/"} is not installed"
    done
    check_soname "$libdir/libheadroom-$name.so" "$version"
    if nm -D --defined-only "$libdir/libheadroom-$name.so" | awk '{print $NF}' | grep -v '^hr_'; then
        complain "the names above are no names of its interface, and should be hidden"
    fi

    # As a program would have it: warnings are errors there, too.
    cp "$here/$name.c" "$work/$name.c"
    cp "$here/$name.c" "$work/$name.cpp"
    use_pkg_config "$libdir" "headroom-$name" "$version"
    read -ra cflags <<<"$(pkg-config --cflags "headroom-$name")"
    read -ra libs <<<"$(pkg-config --libs "headroom-$name")"
    try() {
        echo "$name: $1"
        shift
        "$@" -pedantic -Wall -Wextra -Werror -o "$work/program" "${libs[@]}"
        LD_LIBRARY_PATH=$libdir "$work/program"
    }
    try "pkg-config, c11" gcc -std=c11 "${cflags[@]}" "$work/$name.c"
    try "pkg-config, c17" gcc -std=c17 "${cflags[@]}" "$work/$name.c"
    try "pkg-config, c++17" g++ -std=c++17 "${cflags[@]}" "$work/$name.cpp"

    sed "s/NAME/$name/g" >"$work/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(somebody LANGUAGES C CXX)
find_package(headroom 0.1 REQUIRED COMPONENTS NAME static)
find_package(headroom 0.1 QUIET COMPONENTS nonsense)
if(headroom_FOUND)
    message(FATAL_ERROR "a component that is not there is found")
endif()
foreach(language c cpp)
    add_executable(${language} NAME.${language})
    set_target_properties(${language} PROPERTIES C_STANDARD 17 CXX_STANDARD 17 C_EXTENSIONS OFF CXX_EXTENSIONS OFF)
    target_link_libraries(${language} PRIVATE headroom::NAME)
    target_compile_options(${language} PRIVATE -Wall -Wextra -Werror)
endforeach()
CMAKE
    cmake -G Ninja -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" ||
        { cat "$work/log"; exit 1; }
    cmake --build "$work/build" >"$work/log" || { cat "$work/log"; exit 1; }
    for program in c cpp; do
        echo "$name: find_package, $program"
        "$work/build/$program"
    done
}
