#!/usr/bin/env bash
# `headroom doctor --json --root` gives the figures that each layout's expected.json says, and so does what it collects.
set -euo pipefail
build=${HEADROOM_BUILD_DIR:?} source=${HEADROOM_SOURCE_DIR:?}
headroom=$build/cli/headroom
command -v jq >/dev/null || { echo "skipped: no jq"; exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
count=0
for layout in "$source"/tests/fixtures/layouts/*.layout; do
    name=$(basename "$layout" .layout)
    count=$((count + 1))
    "$source/tests/fixtures/unpack" "$layout" "$work/$name"
    if ! "$headroom" doctor --json --root "$work/$name" --collect "$work/collected" \
        >"$work/got.json" 2>"$work/errors"; then
        echo "$name: doctor failed:"
        sed 's/^/    /' "$work/errors"
        failed=1
        continue
    fi
    # The expected text is a part of the doctor's. Of findings it is their names.
    if ! wrong=$(jq -r --slurpfile expected "$work/$name/expected.json" \
        '.findings |= map(.id) | . as $got | $expected[0] | to_entries[] | select($got[.key] != .value) |
         "\(.key) is \($got[.key]), and must be \(.value)"' "$work/got.json") || [ -n "$wrong" ]; then
        echo "$name: ${wrong:-no JSON}"
        failed=1
    fi
    # And what it collects gives the same again.
    "$headroom" doctor --json --root "$work/collected" >"$work/again.json" 2>&1 || true
    if ! cmp -s "$work/got.json" "$work/again.json"; then
        echo "$name: what was collected gives another report:"
        diff "$work/got.json" "$work/again.json" | head -10 || true
        failed=1
    fi
    rm -rf "$work/collected"
done
if [ "$count" -lt 52 ]; then
    echo "only $count layouts were found"
    failed=1
fi
exit $failed
