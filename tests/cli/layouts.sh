#!/usr/bin/env bash
# `headroom doctor --json --root` gives the figures that each layout's expected.json says.
set -euo pipefail
build=${HEADROOM_BUILD_DIR:?} source=${HEADROOM_SOURCE_DIR:?}
headroom=$build/cli/headroom
command -v jq >/dev/null || { echo "skipped: no jq"; exit 77; }

failed=0
count=0
for layout in "$source"/tests/fixtures/layouts/*/; do
    name=$(basename "$layout")
    count=$((count + 1))
    if ! "$headroom" doctor --json --root "${layout}root" >"$build/layout.json" 2>"$build/layout.err"; then
        echo "$name: doctor failed:"
        sed 's/^/    /' "$build/layout.err"
        failed=1
        continue
    fi
    # What is expected is a part of what the doctor says.
    if ! wrong=$(jq -r --slurpfile expected "$layout/expected.json" \
        '. as $got | $expected[0] | to_entries[] | select($got[.key] != .value) |
         "\(.key) is \($got[.key]), and must be \(.value)"' "$build/layout.json") || [ -n "$wrong" ]; then
        echo "$name: ${wrong:-no JSON}"
        failed=1
    fi
done
if [ "$count" -lt 18 ]; then
    echo "only $count layouts were found"
    failed=1
fi
exit $failed
