#!/usr/bin/env bash
# The library of today serves programs that were linked against the last release. abidiff finds no symbol that is gone
# and no function that takes something else. No struct has changed other than by growing at its end.
#
#   abi.sh          compares with abi/libheadroom.abi, which each release renews; before the first one there is none
#   abi.sh --write  renews it, from the build in HEADROOM_BUILD_DIR
set -euo pipefail
source_dir=${HEADROOM_SOURCE_DIR:?}
library=${HEADROOM_BUILD_DIR:?}/src/libheadroom.so
baseline=$source_dir/abi/libheadroom.abi
for tool in abidiff abidw gcc; do
    command -v "$tool" >/dev/null || { echo "skipped: there is no $tool (Debian: abigail-tools, gcc)"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

describe() { abidw --headers-dir "$source_dir/include" --drop-private-types --no-corpus-path --out-file "$2" "$1"; }

if [ "${1:-}" = --write ]; then
    mkdir -p "${baseline%/*}"
    describe "$library" "$baseline"
    echo "$baseline"
    exit 0
fi

cat >"$work/permitted" <<'INI'
[suppress_type]
type_kind = struct
has_data_member_inserted_at = end
INI
differ() { abidiff --suppressions "$work/permitted" --no-added-syms "$1" "$2" >"$work/log" 2>&1; } # OLD NEW

# It finds the offences, and permits growth.
failed=0
make() { # NAME BODY
    printf '%s\n' "$2" >"$work/$1.c"
    gcc -g -shared -fPIC -o "$work/$1.so" "$work/$1.c"
}
make old 'struct s { int a; int b; }; int f(struct s *s) { return s->a; } int g(int a) { return a; }'
make grown 'struct s { int a; int b; long c; }; int f(struct s *s) { return s->a; } int g(int a) { return a; }
int h(void) { return 0; }'
make turned 'struct s { long c; int a; int b; }; int f(struct s *s) { return s->a; } int g(int a) { return a; }'
make gone 'struct s { int a; int b; }; int f(struct s *s) { return s->a; }'
make taken 'struct s { int a; int b; }; int f(struct s *s) { return s->a; }
int g(long a, long b) { return (int)(a + b); }'
differ "$work/old.so" "$work/grown.so" ||
    { echo "a struct that grows at its end is no offence"; cat "$work/log"; failed=1; }
for change in turned gone taken; do
    ! differ "$work/old.so" "$work/$change.so" || { echo "abidiff does not find the offence '$change'"; failed=1; }
done

# A description is compared with a description: abidiff 2.2 crashes where one side is the library.
describe "$library" "$work/today.abi"
if [ ! -e "$baseline" ]; then
    echo "note: there is no release yet, and so nothing to compare with"
    baseline=$work/today.abi
fi
if ! differ "$baseline" "$work/today.abi"; then
    echo "programs of the last release would break:"
    cat "$work/log"
    failed=1
fi
exit "$failed"
