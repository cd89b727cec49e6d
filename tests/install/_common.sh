# shellcheck shell=bash
# What the tests of an installation share; `test` is what they call themselves.
: "${test:?is the name of the test}"

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
