#!/usr/bin/env bash
# The C++ header as a program of somebody else's uses it: the installed tree, C++17 and C++20, GCC and Clang, libstdc++
# and libc++, warnings are errors. The example is compiled and run with each.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to install}" "${HEADROOM_SOURCE_DIR:?is the tree}"
here=$(cd "$(dirname "$0")" && pwd)
test=cpp
# shellcheck source=tests/install/_common.sh
source "$here/_common.sh"
command -v g++ >/dev/null || { echo "skipped: there is no g++"; exit 77; }
install_build
use_pkg_config headroom
cp "$HEADROOM_SOURCE_DIR/examples/sessions.cpp" "$work/sessions.cpp"

try() { # NAME COMPILER OPTION...
    echo "cpp: $1"
    shift
    "$@" -pedantic -Wall -Wextra -Werror -Wshadow -Wconversion -Wold-style-cast "${cflags[@]}" "$work/sessions.cpp" \
        -o "$work/sessions" "${libs[@]}"
    LD_LIBRARY_PATH=$libdir "$work/sessions" >"$work/said"
    grep -q 'then it is refused; another one is served' "$work/said" || complain "it says: $(cat "$work/said")"
}
for standard in c++17 c++20; do
    try "g++, $standard" g++ "-std=$standard"
    if command -v clang++ >/dev/null; then
        try "clang++, $standard" clang++ "-std=$standard"
        # Clang's own library has std::pmr from LLVM 16 on. Debian 12 has it as libc++-16-dev, with clang-16.
        for clang in clang++ clang++-16 clang++-19; do
            command -v "$clang" >/dev/null || continue
            if echo '#include <memory_resource>
                int main() { return std::pmr::new_delete_resource() == nullptr; }' |
                "$clang" "-std=$standard" -stdlib=libc++ -x c++ - -o "$work/has" 2>/dev/null; then
                try "$clang and libc++, $standard" "$clang" "-std=$standard" -stdlib=libc++
            else
                echo "cpp: no libc++ with std::pmr for $clang, so it is left out"
            fi
        done
    fi
done
