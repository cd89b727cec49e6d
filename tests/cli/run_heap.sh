#!/usr/bin/env bash
# headroom run --on-limit fail and wait: one limit for a tree, held by headroom's malloc in its programs.
#
# shellcheck disable=SC2016 # what is in single quotes is for another shell
# shellcheck disable=SC2317 # what a trap calls looks unreachable
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
eater=$HEADROOM_BUILD_DIR/tests/tools/eater
library=$HEADROOM_BUILD_DIR/src/malloc/libheadroom-malloc.so
if [ ! -x "$eater" ] || [ ! -e "$library" ]; then
    echo "skipped: libheadroom-malloc or tests/tools/eater is not built here"
    exit 77
fi
trap 'rm -rf "$work"' EXIT

# heap STATUS WORD...: headroom run with its summary in $work/summary.
heap() {
    local wanted=$1
    shift
    rm -f "$work/summary"
    run "$wanted" run --summary-json "$work/summary" "$@"
}
summary() {
    jq -e "$1" "$work/summary" >/dev/null ||
        { jq -c . "$work/summary" || true; bad "this does not hold of the summary: $1"; }
}

# ── fail ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

heap 3 --limit 40M --on-limit fail -- "$eater" until-null 100000
says out "null after 3" # from 30 to 39 MiB
says errors "heap: 1 program, 1 request refused, 0 waited"
summary '.heap == true and .refusals == 1 and .kernel_kills == 0 and .exit_status == 3 and .actions == []'
summary '.limit_bytes == 41943040 and .heap_figures.charged_peak_bytes <= 41943040 and .heap_figures.charged_bytes == 0'

# Without a limit that is met nothing is refused.
heap 0 --limit 400M --on-limit fail -- "$eater" hold 30
summary '.heap == true and .refusals == 0 and .heap_figures.charged_peak_bytes > 31000000'

# ── one limit for all ────────────────────────────────────────────────────────────────────────────────────────────────

# Two programs, and one of them exec()s another: 25 + 25 do not fit in 40, and the third finds all of it again.
heap 0 --limit 40M --on-limit fail -- bash -c '
    "$0" hold 25 1500 & sleep 0.6
    "$0" expect-null 25 || exit 1; wait
    exec "$0" hold 32' "$eater"
summary '.heap_figures.programs >= 3 and .refusals == 1'

# A process that is killed gives back its bytes. So does a program that executes another, a static one too.
heap 0 --limit 40M --on-limit fail -- bash -c '
    "$0" hold 30 60000 & eater=$!; sleep 0.5
    "$0" expect-null 30 || exit 1
    kill -KILL $eater; wait $eater 2>/dev/null
    for ((round = 0; round < 50; round++)); do "$0" hold 30 && exit 0; sleep 0.1; done; exit 2' "$eater"
if [ -x "$eater-static" ]; then
    heap 0 --limit 40M --on-limit fail -- bash -c '
        "$0" exec 30 "$0-static" sleep 3000 & sleep 0.5
        for ((round = 0; round < 50; round++)); do "$0" hold 30 && exit 0; sleep 0.1; done; exit 2' "$eater"
fi

# A program that closes all its descriptors is counted on, and settled when it ends.
heap 0 --limit 40M --on-limit fail -- bash -c '
    "$0" close-and-hold 30 1500 & sleep 0.7
    "$0" expect-null 30 || exit 1; wait
    for ((round = 0; round < 50; round++)); do "$0" hold 30 && exit 0; sleep 0.1; done; exit 2' "$eater"

# A forked child has a slot of its own; what it inherited is its parent's.
heap 0 --limit 40M --on-limit fail -- "$eater" fork 25
summary '.heap_figures.charged_bytes == 0'

# Live bytes: what is in blocks, and neither idle nor the reserve.
heap 0 --limit 400M --on-limit fail -- "$eater" hold 30 1200
summary '.heap_figures | .live_peak_bytes >= 31457280 and .live_peak_bytes < .charged_peak_bytes and
    .live_bytes <= .live_peak_bytes'
says errors "at most 30."
says errors " live"
"$headroom" run --quiet --limit 400M --on-limit fail -- "$eater" hold 30 60000 &
run_pid=$!
live() {
    "$headroom" top --once --json --filter eater |
        jq -se 'any(.limit_bytes == 419430400 and .live_bytes >= 31457280)' >/dev/null
}
for ((round = 0; round < 100; round++)); do live && break; sleep 0.1; done
live || bad "headroom top does not show the live bytes: $("$headroom" top --once --json)"
kill -TERM $run_pid
wait $run_pid || true

# A program that is left behind has no limit any more.
heap 0 --limit 40M --on-limit fail -- \
    bash -c '("$0" later 60 "$1"; echo $? >"$1.status") 2>/dev/null & exit 0' "$eater" "$work/go"
touch "$work/go"
eventually_is() {
    for ((round = 0; round < 200; round++)); do [ -s "$1" ] && break; sleep 0.1; done
    [ "$(cat "$1" 2>/dev/null)" = "$2" ]
}
eventually_is "$work/go.status" 0 || bad "a limit is left behind: $(cat "$work/go.status")"

# Where the supervisor is killed and there is no wall, the others go on below their limit. The bytes of one that is
# killed come back to who is short.
mount=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
if [ -n "$mount" ] && unshare -m true 2>/dev/null; then
    unshare -m sh -c 'mount -o remount,ro,bind "$0" && exec "$@"' "$mount" \
        "$headroom" run --quiet --limit 40M --on-limit fail -- bash -c '
        "$0" hold 30 600000 & echo $! >"$1.eater"
        ("$0" later 25 "$1.early"; echo $? >"$1.first"; "$0" later 25 "$1.late"; echo $? >"$1.second") &
        ("$0" later 25 "$1.late"; echo $? >"$1.third") & wait' "$eater" "$work/alone" 2>/dev/null &
    run_pid=$!
    for ((round = 0; round < 100; round++)); do [ -s "$work/alone.eater" ] && break; sleep 0.1; done
    sleep 0.5
    kill -KILL $run_pid
    wait $run_pid 2>/dev/null || true
    touch "$work/alone.early"
    eventually_is "$work/alone.first" 4 || bad "the limit is gone with its supervisor: $(cat "$work/alone.first")"
    kill -KILL "$(cat "$work/alone.eater")"
    touch "$work/alone.late"
    # Both ask at once, and one may find the other's bytes.
    eventually_is "$work/alone.third" 0 || eventually_is "$work/alone.second" 0 ||
        bad "without a supervisor bytes of a killed process stay: $(cat "$work/alone.third")"
else
    echo "note: a supervisor that is killed was not tried: it needs a wall that cannot be built"
fi

# ── wait ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

heap 0 --limit 40M --on-limit wait --grace 20s -- bash -c '"$0" hold 25 1500 & sleep 0.5; "$0" hold 25; wait' "$eater"
summary '.refusals == 0 and .heap_figures.waits >= 1 and .time_s > 1.2'
heap 4 --limit 40M --on-limit wait --grace 3s -- bash -c '"$0" hold 25 5000 & sleep 0.5; "$0" hold 25; exit $?' "$eater"
says errors "waits for memory, and none has come back for two seconds"
summary '.refusals >= 1'

# ── what cannot be entered ───────────────────────────────────────────────────────────────────────────────────────────

if [ -x "$eater-static" ]; then
    heap 0 --limit 40M --on-limit fail -- "$eater-static" hold 10
    static="it is linked statically; the watch holds it alone"
    says errors "headroom's malloc cannot be loaded into $eater-static: $static"
    summary '.heap == false'
    printf '#!%s-static\n' "$eater" >"$work/script"
    chmod +x "$work/script"
    run 2 run --limit 40M --on-limit fail -- "$work/script"
    says errors "it is linked statically"
fi
if [ "$(id -u)" -eq 0 ]; then
    cp "$eater" "$work/other"
    chown 1:1 "$work/other"
    chmod u+s "$work/other"
    heap 0 --limit 40M --on-limit fail -- "$work/other" hold 10
    says errors "it runs with another user's rights (set-user-ID)"
    summary '.heap == false'
fi
heap 0 --limit 40M --on-limit fail -- env -i "$eater" hold 10 # the program itself throws the library away
summary '.heap == true and .heap_figures.programs == 1'

# ── mistakes ─────────────────────────────────────────────────────────────────────────────────────────────────────────

run 125 run --on-limit explode -- true
says errors "'explode' is not known: there are term, freeze, abort, fail and wait"
run 125 run --on-limit fail --pid $$
says errors "--on-limit fail is done in the command from its start"
run 127 run --limit 40M --on-limit fail -- "$work/no such program"
# HEADROOM_RUN of a run that has ended: said, and the program goes on.
HEADROOM_RUN=headroom-malloc-none:1 LD_PRELOAD=$library "$eater" hold 1 2>"$work/errors" ||
    bad "a program ends where its run has ended"
says errors "is not held by the limit of the tree: 'headroom run' cannot be reached from here"
# A program that begins after its run has ended is not held any more, as any that a run leaves behind: it says nothing.
late='(while kill -0 $PPID; do sleep 0.1; done 2>/dev/null; "$0" hold 1; echo held >"$1") 2>"$1.errors" & exit 0'
run 0 run --quiet --limit 40M --on-limit fail -- bash -c "$late" "$eater" "$work/late"
for ((round = 0; round < 100; round++)); do [ -s "$work/late" ] && break; sleep 0.1; done
[ -s "$work/late" ] || bad "a program that begins after its run has ended does not run"
[ ! -s "$work/late.errors" ] || bad "a program that begins after its run has ended says: $(cat "$work/late.errors")"

exit "$failed"
