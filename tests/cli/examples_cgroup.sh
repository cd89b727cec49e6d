#!/usr/bin/env bash
# Every example in a real memory cgroup that is smaller than what it would use without one: it ends by itself, and the
# kernel kills nothing. The last lines show what the limit stopped, so that a limit which stops nothing is seen.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to test}" "${HEADROOM_SOURCE_DIR:?is the tree}"
cage=$HEADROOM_BUILD_DIR/tests/tools/cage
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
ran=0

# says NAME PATTERN: what the limit has to bring about in an example that fills its memory.
says() {
    [ -e "$work/$1" ] || return 0
    grep -qE "$2" "$work/$1" || { echo "examples/$1 does not say '$2' under 24 MiB:"; cat "$work/$1"; failed=1; }
}

for source in "$HEADROOM_SOURCE_DIR"/examples/*.c "$HEADROOM_SOURCE_DIR"/examples/*.cpp; do
    name=$(basename "${source%.*}")
    program=$HEADROOM_BUILD_DIR/examples/$name
    [ -x "$program" ] || { echo "skipped: the examples are not built here"; exit 77; }
    status=0
    "$cage" 24MiB 60 "$program" >"$work/$name" 2>&1 || status=$?
    [ "$status" -ne 77 ] || { cat "$work/$name"; exit 77; }
    ran=$((ran + 1))
    if ! grep -q '^cage: exit 0 kills 0 ' "$work/$name"; then
        echo "examples/$name under 24 MiB:"
        cat "$work/$name"
        failed=1
    fi
    lines=$(wc -l <"$source")
    if [ "$lines" -ge 80 ]; then
        echo "examples/$name has $lines lines: an example has fewer than 80"
        failed=1
    fi
done
says reclaimer '^1024 drawn, [0-9]{1,3} of them still kept, 0 refused'
says clients '^client 0: [1-9][0-9]* of 256 refused; all others: 0 refused'
says eventloop 'still wait in the queue; stopped accepting [1-9]'
says workers '; [1-9][0-9]* refused before any work'
says batch '^10000 of 10000 rows inserted, in order'
echo "examples: $ran programs, 0 kills"
exit $failed
