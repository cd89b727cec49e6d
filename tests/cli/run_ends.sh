#!/usr/bin/env bash
# headroom run: who has ended it, and what is told where nobody knows or nothing can be done.
#
# shellcheck disable=SC2016 # what is in single quotes is for another shell
# shellcheck disable=SC2317 # what a trap calls looks unreachable
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
hog=$HEADROOM_BUILD_DIR/tests/tools/hog
[ -x "$hog" ] || { echo "skipped: tests/tools/hog is not built here"; exit 77; }
child=""
cleanup() {
    if [ -n "$child" ]; then kill -KILL "$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap cleanup EXIT

summary() { jq -e "$1" "$work/summary" >/dev/null || { jq -c . "$work/summary" || true; bad "this does not hold of the summary: $1"; }; }
eventually() { # WHAT COMMAND...: within ten seconds
    local what=$1 round
    shift
    for ((round = 0; round < 200; round++)); do
        "$@" 2>/dev/null && return
        sleep 0.05
    done
    bad "$what"
}

# ── who has ended it ─────────────────────────────────────────────────────────────────────────────────────────────────

run 137 run --limit 60M --at 30M=signal:KILL --summary-json "$work/summary" -- "$hog" 50M --wait
summary '.ended_by == "headroom" and .exit_status == 137'

# The status of a process that is no child is not known, unless headroom has killed it.
"$hog" 40M --on-term=3 --wait >/dev/null &
child=$!
run 0 run --pid $child --limit 30M --summary-json "$work/summary"
wait $child || true
summary '.ended_by == "itself, asked by headroom" and .exit_status == null'
says errors "ended with a status that is not known"
"$hog" 40M --deaf --wait >/dev/null &
child=$!
run 0 run --pid $child --limit 30M --grace 0 --summary-json "$work/summary"
wait $child || true
summary '.ended_by == "headroom" and .exit_status == 137'
sleep 30 &
child=$!
"$headroom" run --pid $child --limit 1G --summary-json "$work/summary" 2>"$work/errors" &
watcher=$!
control() { grep -qF "headroom-run" /proc/net/unix && grep -q " $child\$" /proc/net/unix; }
eventually "the watch does not begin" control
kill -TERM $watcher
wait $watcher || true
says errors "is watched no more"
says errors "runs on"
summary '.exit_status == null'

# ── what it may not do ───────────────────────────────────────────────────────────────────────────────────────────────

if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    status=0
    setpriv --reuid 65534 --clear-groups "$headroom" run --pid $child --limit 1G 2>"$work/errors" || status=$?
    [ $status -eq 125 ] || bad "a process that it may not signal is watched: $status"
    says errors "may not be signalled: Operation not permitted"
else
    echo "note: another user's process was not tried: this takes root and setpriv"
fi

exit "$failed"
