#!/usr/bin/env bash
# headroom run where it is not alone: neighbours that hold memory in the same group, a small group, a run within a run,
# and a supervisor that is killed. Each case stands in a cgroup of its own (version 1).
#
# shellcheck disable=SC2016 # what is in single quotes is for another shell
# shellcheck disable=SC2317 # what a trap calls looks unreachable
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
eater=$HEADROOM_BUILD_DIR/tests/tools/eater
if [ ! -x "$eater" ] || [ ! -e "$HEADROOM_BUILD_DIR/src/malloc/libheadroom-malloc.so" ]; then
    echo "skipped: libheadroom-malloc or tests/tools/eater is not built here"
    exit 77
fi
mount=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
group=$mount/headroom-around-$$
if [ "$(id -u)" -ne 0 ] || [ -z "$mount" ] || ! mkdir "$group" 2>/dev/null; then
    echo "skipped: no memory cgroup of version 1 can be made here"
    exit 77
fi
neighbour=""
leave() {
    if [ -n "$neighbour" ]; then kill -KILL "$neighbour" 2>/dev/null || true; wait "$neighbour" 2>/dev/null || true; fi
    neighbour=""
}
cleanup() {
    leave
    rmdir "$group" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# within LIMIT STATUS WORD...: headroom run in the group, which has this limit; its summary is $work/summary.
within() {
    local limit=$1 wanted=$2 status=0 kills
    shift 2
    echo "$limit" >"$group/memory.limit_in_bytes"
    rm -f "$work/summary"
    bash -c 'echo $BASHPID >"$0/cgroup.procs"; exec "$@"' "$group" "$headroom" run --summary-json "$work/summary" "$@" \
        >"$work/out" 2>"$work/errors" </dev/null || status=$?
    [ "$status" -eq "$wanted" ] || bad "in $limit 'run $*' ends with $status, not $wanted"
    kills=$(awk '$1 == "oom_kill" { print $2 }' "$group/memory.oom_control")
    [ "$kills" -eq "${kills_before:-0}" ] || bad "in $limit the kernel has killed a neighbour of 'run $*'"
    [ -z "$(find "$group" -mindepth 1 -type d)" ] || bad "groups are left behind"
}

summary() {
    jq -e "$1" "$work/summary" >/dev/null || bad "this does not hold of the summary: $1: $(jq -c . "$work/summary")"
}

# beside MIB [MS]: a neighbour that holds memory and touches it no more.
beside() {
    echo 300M >"$group/memory.limit_in_bytes"
    bash -c 'echo $BASHPID >"$0/cgroup.procs"; exec "$@"' "$group" "$eater" hold "$1" "${2:-60000}" &
    neighbour=$!
    for ((round = 0; round < 1200; round++)); do
        [ "$(cat "$group/memory.usage_in_bytes")" -gt $(($1 << 20)) ] && return
        sleep 0.05
    done
    bad "the neighbour holds nothing"
}

# ── neighbours ───────────────────────────────────────────────────────────────────────────────────────────────────────

refused='.refusals >= 1 and .kernel_kills == 0 and .actions == []'
beside 60
within 150M 3 --limit 120M --on-limit fail -- "$eater" until-null 100000
summary "$refused and .heap_figures.charged_peak_bytes < 90 * 1048576"
says errors "what is around left it"
leave
beside 80
within 150M 3 --on-limit fail -- "$eater" until-null 100000
summary "$refused"
within 150M 4 --on-limit wait --grace 500ms -- "$eater" hold 70
summary '.heap_figures.waits >= 1 and .kernel_kills == 0 and .actions == []'
leave
# A command that waits gets the memory that a neighbour gives back.
beside 80
within 150M 0 --on-limit wait --grace 60s -- sh -c '(sleep 1; kill "$1") & exec "$0" hold 100' "$eater" $neighbour
summary '.refusals == 0 and .actions == []'
leave

# ── a small group ────────────────────────────────────────────────────────────────────────────────────────────────────

for limit in 20M 100M; do
    within $limit 3 --on-limit fail -- "$eater" until-null 100000
    summary "$refused"
done

# ── a run within a run ───────────────────────────────────────────────────────────────────────────────────────────────

within 200M 3 --limit 60M --on-limit fail -- \
    "$headroom" run --limit 80M --on-limit fail -- "$eater" until-null 100000
summary '.actions == [] and .kernel_kills == 0 and .heap_figures.charged_peak_bytes <= 62914560'
awk '$1 == "null" && $3 >= 45 && $3 < 60 { found = 1 } END { exit !found }' "$work/out" ||
    bad "the outer limit does not hold the inner run"
# The smaller one holds where it is the inner one, and what the inner run gives back is the outer's again.
within 200M 0 --limit 60M --on-limit fail -- bash -c '
    "$0" run --limit 30M --on-limit fail -- "$1" until-null 100000; [ $? -eq 3 ] || exit 1
    for ((round = 0; round < 50; round++)); do "$1" hold 50 && exit 0; sleep 0.1; done; exit 2' "$headroom" "$eater"
awk '$1 == "null" && $3 > 15 && $3 < 30 { found = 1 } END { exit !found }' "$work/out" ||
    bad "the inner limit does not hold"

# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────

within 100M 143 --limit 500M -- "$eater" until-null 100000
grep -qE 'at 9[0-9.]+ MiB of 500.0 MiB \(1[0-9.]+ %\), with others 9[0-9.]+ % of 98.0 MiB around it' "$work/errors" ||
    bad "a share stands beside a limit that it is not of"

# Without a wall a kill by the kernel is seen too.
kills_before=1
within 50M 137 --observe --limit 500M -- "$eater" until-null 100000
summary '.kernel_kills == 1 and .ended_by == "the kernel, for want of memory"'

# eventually FOLDER WHAT COMMAND...: within a minute. A failure shows the tree's group, and why each process waits.
eventually() {
    local folder=$1 what=$2 round file pid
    shift 2
    for ((round = 0; round < 1200; round++)); do
        "$@" 2>/dev/null && return
        sleep 0.05
    done
    bad "not within a minute: $what"
    for file in {"$group","$folder"}/{memory.limit_in_bytes,memory.usage_in_bytes,memory.oom_control,cgroup.procs}; do
        echo "    ${file#"$mount"/}: $(xargs <"$file" 2>&1)"
    done
    for pid in "$supervisor" $(cat "$group/cgroup.procs" "$folder/cgroup.procs" 2>/dev/null); do
        echo "    $(ps -o pid=,ppid=,stat=,wchan:32=,time=,args= -p "$pid" || echo "$pid has ended")"
    done
}

# ── a limit that is set, beyond the room around ──────────────────────────────────────────────────────────────────────

# The wall stays below the limit around. When the limit is lowered, so is what the end of the command may take.
echo 200M >"$group/memory.limit_in_bytes"
bash -c 'echo $BASHPID >"$0/cgroup.procs"; exec "$@"' "$group" "$headroom" run --limit 40M --grace 10s \
    --summary-json "$work/summary" -- sh -c 'trap "" TERM; "$@"; sleep 60' sh "$eater" hold 8 60000 2>"$work/errors" &
supervisor=$!
wall=$group/headroom-tree-$supervisor/memory.limit_in_bytes
inner=$(dirname "$wall")
is_set() { "$headroom" limit --set "$1" "$supervisor" >"$work/out" 2>&1; }
is_gone() { [ ! -d "$inner" ]; }
for size in 1T 60M; do
    eventually "$inner" "--set $size is taken" is_set $size
    [ "$(cat "$wall")" -lt $((200 << 20)) ] || bad "at --set $size the wall is not below the limit around"
done
bash -c 'echo $BASHPID >"$0/cgroup.procs"; exec "$1" hold 70 60000' "$inner" "$eater" &
neighbour=$!
eventually "$inner" "it is asked to end" grep -q 'SIGTERM is sent' "$work/errors"
sleep 0.5
[ "$(cat "$wall")" -le $((76 << 20)) ] || bad "a limit that was lowered raises its wall to $(cat "$wall")"
leave
kill -KILL $supervisor
wait $supervisor 2>/dev/null || true
eventually "$inner" "the keeper removes the group" is_gone

# ── a supervisor that is killed ──────────────────────────────────────────────────────────────────────────────────────

# All that is behind the wall ends, what sleeps there too; and the wall is gone. Where the keeper was killed as well,
# the next run in the same place does that. It leaves a run alone that is watched.
echo 200M >"$group/memory.limit_in_bytes"
ended() { # PID...
    local pid
    eventually "$inner" "the wall of a killed supervisor is gone" is_gone
    for pid; do
        grep -qs '^State:.[^ZX]' "/proc/$pid/status" &&
            bad "a killed supervisor leaves a process behind: $(ps -o stat=,args= -p "$pid")"
    done
    return 0
}
has_three() { [ "$(wc -w <"$inner/cgroup.procs")" -ge 3 ]; }
# Neither process fills the wall alone: the shell must still be able to start the second.
for killed in supervisor both; do
    bash -c 'echo $BASHPID >"$0/cgroup.procs"; exec "$@"' "$group" "$headroom" run --limit 40M --on-limit freeze -- \
        bash -c '"$0" hold 30 60000 & "$0" hold 30 60000 & wait' "$eater" 2>"$work/errors" &
    supervisor=$!
    inner=$group/headroom-tree-$supervisor
    eventually "$inner" "the tree is frozen" grep -q 'is frozen' "$work/errors"
    eventually "$inner" "the tree is behind the wall" has_three
    members=$(cat "$inner/cgroup.procs")
    if [ $killed = both ]; then
        bash -c 'echo $BASHPID >"$0/cgroup.procs"; exec "$@"' "$group" "$headroom" run --quiet --limit 20M -- true
        [ -d "$inner" ] || bad "a run ends the tree of another run, which is watched"
        kill -KILL $supervisor "$(pgrep -P $supervisor headroom-keeper)"
        wait $supervisor 2>/dev/null || true
        within 200M 0 --limit 20M -- true
    else
        kill -KILL $supervisor
        wait $supervisor 2>/dev/null || true
    fi
    # shellcheck disable=SC2086 # one word for each
    ended $members
done

exit "$failed"
