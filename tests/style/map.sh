#!/usr/bin/env bash
# The headers declare, src/headroom.map lists, and the shared library exports the same names.
#
#   map.sh [TREE [LIBRARY]]
set -euo pipefail
tree=${1:-${HEADROOM_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}}
library=${2:-${HEADROOM_BUILD_DIR:+$HEADROOM_BUILD_DIR/src/libheadroom.so}}
cd "$tree"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C
failed=0

# Declarations may run over several lines; attributes stand between HR_API and the name.
cat include/headroom/*.h | awk '
    /^extern HR_API/ && match($0, /hr_[a-z0-9_]+;/) { print substr($0, RSTART, RLENGTH - 1) }
    /^HR_(INLINE_)?API/ { text = ""; on = 1 }
    on { text = text " " $0 }
    on && /[(]/ { if (match(text, /hr_[a-z0-9_]+[ ]*[(]/)) print substr(text, RSTART, RLENGTH - 1); on = 0 }
' | sort -u >"$work/headers"
sed 's,/\*.*\*/,,' src/headroom.map | grep -oE '^ *hr_[a-z0-9_]+;' | tr -d ' ;' | sort >"$work/map"

# each_of NAMES WHERE TEXT: an offence for each name; headers and map have lines to point at.
each_of() {
    while IFS= read -r name; do
        line=$(grep -nE -m1 "\b$name\b" "$2" /dev/null | cut -d: -f1,2 || true)
        echo "${line:-$2:1}: $name $3"
        failed=1
    done <"$1"
}

sort "$work/map" | uniq -d >"$work/twice"
each_of "$work/twice" src/headroom.map "is listed twice: once is enough"
comm -23 "$work/headers" "$work/map" >"$work/unlisted"
while IFS= read -r name; do
    where=$(grep -HnE "\b$name\(" include/headroom/*.h | grep -vE ':[0-9]+: \*' | head -n1 | cut -d: -f1,2)
    echo "$where: $name is HR_API, and src/headroom.map does not list it: add it to the newest node"
    failed=1
done <"$work/unlisted"
comm -13 "$work/headers" <(uniq "$work/map") >"$work/unknown"
each_of "$work/unknown" src/headroom.map "is in no public header as HR_API: declare it there, or take it out"
if grep -nE '^ *[a-z_]*\*;' src/headroom.map | grep -vE ':\s*\*;' >"$work/stars"; then
    while IFS= read -r star; do
        echo "src/headroom.map:$star: a pattern exports what nobody decided to export: list names"
        failed=1
    done <"$work/stars"
fi

if [ -z "$library" ]; then
    echo "note: without HEADROOM_BUILD_DIR there is no library to look into"
else
    nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u >"$work/exported"
    # Symbols that coverage and sanitizers add are not ours.
    grep -vE '^(__|_Z|mangle_path)' "$work/exported" >"$work/ours" || true
    comm -13 <(uniq "$work/map") "$work/ours" >"$work/extra"
    while IFS= read -r name; do
        echo "$library:1: $name is exported and not in src/headroom.map"
        failed=1
    done <"$work/extra"
    comm -23 <(uniq "$work/map") "$work/ours" >"$work/absent"
    each_of "$work/absent" src/headroom.map "is not exported by the library: define it, or take it out"
fi
exit $failed
