#!/usr/bin/env bash
# The recorder of the nightly runs: a process that ends while it is watched, and a process that is not there. The number
# of a process that is given to another one, and a file that another recorder writes.
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
    [ "$status" -eq "$wanted" ] ||
        { echo "'recorder $*' ends with $status, not $wanted"; cat "$work/errors"; failed=1; }
}

sleep 1 &
short=$!
ends 3 "$short" "$work/short" 20
[ "$("$headroom" report --json "$work/short" | jq '.records | length >= 5')" = true ] ||
    { echo "it kept nothing"; failed=1; }
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

# A number that is given to another process: forced in a namespace of its own, while the recorder does not look.
cat >"$work/reuse.sh" <<'BASH'
recorder=$1 file=$2
sleep 60 &
first=$!
"$recorder" $first "$file" 60 &
watcher=$!
until [ -s "$file" ] && [ "$(stat -c %s "$file")" -gt 400 ]; do sleep 0.05; done
kill -STOP $watcher
kill $first
wait $first
echo $((first - 1)) >/proc/sys/kernel/ns_last_pid || exit 77
python3 -c 'import time; kept = bytearray(200 << 20); time.sleep(60)' &
[ $! -eq $first ] || exit 77
until awk '/^VmRSS:/ { exit !($2 > 200000) }' /proc/$first/status; do sleep 0.05; done
kill -CONT $watcher
status=0
wait $watcher || status=$?
kill $first
exit $status
BASH
if command -v python3 >/dev/null && unshare --pid --fork --mount-proc true 2>"$work/errors"; then
    status=0
    timeout 50 unshare --pid --fork --kill-child --mount-proc \
        bash "$work/reuse.sh" "$recorder" "$work/reused" || status=$?
    case $status in
    3) [ "$("$headroom" report --json "$work/reused" |
        jq '[.records[].rss_bytes] | length >= 2 and max < 50e6')" = true ] ||
        { echo "another process was recorded"; failed=1; } ;;
    77) echo "note: the kernel does not let us choose the next process's number, so none was given again" ;;
    *) echo "a recorder whose process's number is another's ends with $status, not 3"; failed=1 ;;
    esac
else
    echo "note: no namespace for processes can be made here ($(cat "$work/errors")), so no number was given again"
fi
exit $failed
