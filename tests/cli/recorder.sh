#!/usr/bin/env bash
# The recorder of the nightly runs: a process that ends while it is watched, one that there is not, a file that another
# recorder writes.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to test}"
recorder=$HEADROOM_BUILD_DIR/tests/tools/recorder
headroom=$HEADROOM_BUILD_DIR/cli/headroom
[ -x "$headroom" ] || { echo "skipped: the headroom command is not built here"; exit 77; }
work=$(mktemp -d)
children=()
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    for child in "${children[@]}"; do
        kill "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap clean_up EXIT
failed=0

ends() { # STATUS WORD...
    local wanted=$1 status=0
    shift
    "$recorder" "$@" 2>"$work/errors" || status=$?
    [ "$status" -eq "$wanted" ] || { echo "'recorder $*' ends with $status, not $wanted"; cat "$work/errors"; failed=1; }
}

sleep 1 &
short=$!
ends 3 "$short" "$work/short" 20
[ "$("$headroom" report --json "$work/short" | jq '.records | length >= 5')" = true ] || { echo "it kept nothing"; failed=1; }
wait "$short" || true
ends 1 "$short" "$work/gone" 1
ends 1 0 "$work/none" 1
sleep 60 &
children+=($!)
"$recorder" "${children[0]}" "$work/both" 60 &
children+=($!)
for _ in {1..50}; do
    [ -s "$work/both" ] && break
    sleep 0.1
done
ends 1 "${children[0]}" "$work/both" 1
grep -q busy "$work/errors" || { echo "a second writer is not told why"; cat "$work/errors"; failed=1; }
ends 0 "${children[0]}" "$work/lapse" 1 1GiB 60
[ "$("$headroom" report --json "$work/lapse" | jq '.trend.span_ns > 40e9 and .trend.kind == "steady"')" = true ] ||
    { echo "a second is not a minute"; failed=1; }
exit $failed
