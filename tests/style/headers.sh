#!/usr/bin/env bash
# Every header compiles alone: the public ones as C11, C17 and C++17 without extensions, the internal ones as this
# library is compiled.
#
#   headers.sh [TREE]
set -euo pipefail
tree=${1:-${HEADROOM_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}}
cd "$tree"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# alone HEADER COMPILER OPTION...: includes it twice, so that its guard is tried too.
alone() {
    local header=$1
    shift
    printf '#include "%s"\n#include "%s"\n' "$tree/$header" "$tree/$header" >"$work/alone.c"
    if ! "$@" -fsyntax-only -Wall -Wextra -Werror -Iinclude "$work/alone.c" 2>"$work/log"; then
        # The first complaint that names a place in our tree is the one to show.
        where=$(grep -m1 -oE '[^ :]*\.h:[0-9]+' "$work/log" || true)
        echo "${where:-$header:1}: does not compile alone with: $*"
        sed 's/^/    /' "$work/log"
        failed=1
    fi
}

while IFS= read -r header; do
    for compiler in gcc clang; do
        command -v "$compiler" >/dev/null || continue
        alone "$header" "$compiler" -x c -std=c11 -pedantic
        alone "$header" "$compiler" -x c -std=c17 -pedantic -Wshadow -Wconversion
    done
    for compiler in g++ clang++; do
        command -v "$compiler" >/dev/null || continue
        alone "$header" "$compiler" -x c++ -std=c++17 -pedantic -Wshadow -Wconversion -Wold-style-cast
    done
done < <(find include -name '*.h' | sort)

while IFS= read -r header; do
    for compiler in g++ clang++; do
        command -v "$compiler" >/dev/null || continue
        for standard in c++17 c++20; do
            alone "$header" "$compiler" -x c++ "-std=$standard" -pedantic -Wshadow -Wconversion -Wold-style-cast
        done
    done
done < <(find include -name '*.hpp' | sort)

if [ -d src ]; then
    while IFS= read -r header; do
        alone "$header" gcc -x c -std=gnu17 -D_GNU_SOURCE= -Isrc -Wshadow -Wconversion
    done < <(find src -name '*.h' | sort)
fi
exit $failed
