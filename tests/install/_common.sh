# shellcheck shell=bash
# What the tests of an installation share; `test` is what they call themselves.
: "${test:?is the name of the test}" "${here:=$(dirname "${BASH_SOURCE[0]}")}"

complain() { # text
    echo "$test: $1"
    exit 1
}

# Installs the build below $work, and moves it, since packages are moved. Sets work, version, prefix and libdir.
install_build() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    unset DESTDIR
    version=$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' "$HEADROOM_BUILD_DIR/CMakeCache.txt")
    cmake --install "$HEADROOM_BUILD_DIR" --prefix "$work/first" >"$work/log"
    mv "$work/first" "$work/prefix"
    prefix=$work/prefix
    libdir=$(dirname "$(find "$prefix" -name libheadroom.a)")
}

check_soname() { # library
    local expected soname
    expected=$(basename "$1").${version%%.*}
    soname=$(readelf -d "$1" | sed -n 's/.*SONAME.*\[\(.*\)\].*/\1/p')
    [ "$soname" = "$expected" ] || complain "the library calls itself '$soname'; it should be $expected"
}

# From here on pkg-config sees the installed libraries, and no others of headroom's. Sets cflags and libs, two arrays.
use_pkg_config() { # name
    local said
    export PKG_CONFIG_PATH=$libdir/pkgconfig
    unset PKG_CONFIG_LIBDIR
    said=$(pkg-config --modversion "$1")
    [ "$said" = "$version" ] || complain "pkg-config says version $said, CMake $version"
    read -ra cflags <<<"$(pkg-config --cflags "$1")"
    read -ra libs <<<"$(pkg-config --libs "$1")"
}

# A stranger's program as C and as C++, in $work.
copy_program() { # name
    cp "$here/$1.c" "$work/$1.c"
    cp "$here/$1.c" "$work/$1.cpp"
}

# check_component NAME: installs a build, and has programs use the component libheadroom-NAME from there, by pkg-config
# and by CMake. tests/install/NAME.c is C and C++.
check_component() {
    local name=$1 version prefix libdir file cflags libs program
    install_build
    for file in "$libdir/libheadroom-$name.so.$version" "$libdir/pkgconfig/headroom-$name.pc" \
        "$prefix/include/headroom/$name.h"; do
        [ -e "$file" ] || complain "${file#"$prefix/"} is not installed"
    done
    check_soname "$libdir/libheadroom-$name.so"
    if nm -D --defined-only "$libdir/libheadroom-$name.so" | awk '{print $NF}' | grep -v '^hr_'; then
        complain "the names above are no names of its interface, and should be hidden"
    fi

    # As a program would have it: warnings are errors there, too.
    copy_program "$name"
    use_pkg_config "headroom-$name"
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
