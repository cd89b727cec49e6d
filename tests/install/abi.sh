#!/usr/bin/env bash
# The libraries of today serve programs that were linked against the last release. abidiff finds no symbol that is gone
# and no function that takes something else. No public struct has changed other than by growing at its end.
#
#   abi.sh          compares with abi/*.abi, the interface of the version that abi/version names
#   abi.sh --write  renews them from the build in HEADROOM_BUILD_DIR: at a release, or for a break that is meant
#
# A description has what a program can see: functions and data that are exported, and types of public headers. Structs
# that only the library knows are names in it, so they may change.
set -euo pipefail
source_dir=${HEADROOM_SOURCE_DIR:?}
build_dir=${HEADROOM_BUILD_DIR:?}
libraries=(src/libheadroom adapters/compressed/libheadroom-compressed adapters/http/libheadroom-http)
for tool in abidiff abidw gcc python3; do
    command -v "$tool" >/dev/null ||
        { echo "skipped: there is no $tool (Debian: abigail-tools, gcc, python3)"; exit 77; }
done
[ "$(uname -m)" = x86_64 ] ||
    { echo "skipped: abi/ describes the libraries for x86-64, and this is $(uname -m)"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The label is the one of abidw's own --drop-private-types. That option knows public headers by their base names, and
# src/budget/budget.h would be one.
cat >"$work/public" <<'INI'
[suppress_type]
label = Artificial private types suppression specification
source_location_not_regexp = include/headroom/[a-z_]*\\.h$
drop = true
INI
describe() { # LIBRARY FILE
    abidw --suppressions "$work/public" --exported-interfaces-only --no-show-locs --no-comp-dir-path --no-corpus-path \
        --no-elf-needed --type-id-style hash --out-file "$2" "$1"
}
version_of() {
    sed -n 's/^#define HR_VERSION_[MP][A-Z]* \([0-9]*\)$/\1/p' "$source_dir/include/headroom/base.h" | paste -sd.
}

if [ "${1:-}" = --write ]; then
    mkdir -p "$source_dir/abi"
    for library in "${libraries[@]}"; do
        describe "$build_dir/$library.so" "$source_dir/abi/${library##*/}.abi"
    done
    version_of >"$source_dir/abi/version"
    exit 0
fi

cat >"$work/permitted" <<'INI'
[suppress_type]
type_kind = struct
has_data_member_inserted_at = end
INI
# A description is compared with a description: abidiff 2.2 crashes where one side is the library.
differ() { # OLD NEW
    local status=0
    abidiff --suppressions "$work/permitted" --no-added-syms "$1" "$2" >"$work/log" 2>&1 || status=$?
    [ $((status & 3)) -eq 0 ] || { echo "abidiff cannot compare $1 and $2:"; cat "$work/log"; failed=1; }
    return "$status"
}

failed=0
must_differ() { # OLD NEW OFFENCE
    ! differ "$1" "$2" || { echo "abidiff does not find the offence '$3'"; failed=1; }
}

# It finds the offences, and permits growth.
make() { # NAME HEADER SOURCE
    mkdir -p "$work/$1/include/headroom"
    printf '%s\n' "$2" >"$work/$1/include/headroom/s.h"
    printf '#include "include/headroom/s.h"\nstruct p { int %s; };\n%s\n' "$1" "$3" >"$work/$1/s.c"
    gcc -g -shared -fPIC -ffile-prefix-map="$work/$1/=" -o "$work/$1.so" "$work/$1/s.c"
    describe "$work/$1.so" "$work/$1.abi"
}
two='int f(struct s *s) { return s->a; } int g(struct p *p) { return p != 0; }'
make old 'enum e { A, B }; struct p; struct s { int a; enum e b; };' "$two"
make grown 'enum e { A, B, C }; struct p; struct s { int a; enum e b; long c; };' "$two int h(void) { return 0; }"
make turned 'enum e { A, B }; struct p; struct s { long c; int a; enum e b; };' "$two"
make less 'enum e { A, B }; struct p; struct s { int a; };' "$two"
make gone 'enum e { A, B }; struct p; struct s { int a; enum e b; };' 'int f(struct s *s) { return s->a; }'
make taken 'enum e { A, B }; struct p; struct s { int a; enum e b; };' \
    'int f(struct s *s) { return s->a; } int g(long a, long b) { return (int)(a + b); }'
differ "$work/old.abi" "$work/grown.abi" ||
    { echo "a struct or an enum that grows at its end is no offence"; cat "$work/log"; failed=1; }
for change in turned less gone taken; do
    must_differ "$work/old.abi" "$work/$change.abi" "$change"
done

# A description less one thing: a member of a struct, or an exported function.
without() { # FILE NAME OUTPUT
    python3 - "$@" <<'PY'
import sys, xml.etree.ElementTree as xml
file, name, output = sys.argv[1:]
tree = xml.parse(file)
struct, _, member = name.partition(".")
removed = 0
for parent in tree.iter():
    for child in list(parent):
        is_member = member and parent.tag == "class-decl" and parent.get("name") == struct \
            and child.tag == "data-member" and child[0].get("name") == member
        is_function = not member and child.tag in ("elf-symbol", "function-decl") and child.get("name") == struct
        if is_member or is_function:
            parent.remove(child)
            removed += 1
sys.exit(f"there is no {name} in {file}") if not removed else tree.write(output)
PY
}

echo "compared with abi/, the interface of $(cat "$source_dir/abi/version")"
for library in "${libraries[@]}"; do
    name=${library##*/}
    [ -e "$build_dir/$library.so" ] || { echo "note: $name is not built"; continue; }
    describe "$build_dir/$library.so" "$work/$name.abi"
    if ! differ "$source_dir/abi/$name.abi" "$work/$name.abi"; then
        echo "programs that were linked with $name of then would break:"
        cat "$work/log"
        failed=1
    fi
done
for lost in hr_figures.limit_bytes hr_guard_options.on_level hr_budget_charge; do
    without "$work/libheadroom.abi" "$lost" "$work/lost.abi"
    must_differ "$source_dir/abi/libheadroom.abi" "$work/lost.abi" "$lost is gone"
done
exit "$failed"
