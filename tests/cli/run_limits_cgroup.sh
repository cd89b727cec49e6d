#!/usr/bin/env bash
# headroom run at real limits: who is ended and how, what sleeps and goes on, whole trees, and that the kernel kills
# nobody. Each case stands in a cgroup of its own (version 1) whose limit is the kernel's.
#
# shellcheck disable=SC2016 # what is in single quotes is for another shell
# shellcheck disable=SC2317 # what a trap calls looks unreachable
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
hog=$HEADROOM_BUILD_DIR/tests/tools/hog
[ -x "$hog" ] || { echo "skipped: tests/tools/hog is not built here"; exit 77; }
mount=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
group=$mount/headroom-run-$$
{ [ "$(id -u)" -eq 0 ] && [ -n "$mount" ] && mkdir "$group" 2>/dev/null; } ||
    { echo "skipped: no memory cgroup of version 1 can be made here"; exit 77; }
echo 100M >"$group/memory.limit_in_bytes"
child=""
cleanup() {
    if [ -n "$child" ]; then kill -TERM "$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true; fi
    rmdir "$group" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# inside WORD...: headroom run in the group, in place of a shell of its own; its summary is then $work/summary.
inside() {
    rm -f "$work/summary"
    bash -c 'echo $BASHPID >"$0/cgroup.procs"; exec "$@"' "$group" "$headroom" run --summary-json "$work/summary" "$@"
}

# The same beside this script, as $child.
beside() {
    rm -f "$work/summary"
    bash -c 'echo $BASHPID >"$0/cgroup.procs"; exec "$@"' "$group" "$headroom" run --summary-json "$work/summary" "$@" \
        >"$work/child.out" 2>"$work/child.errors" </dev/null &
    child=$!
}

# ends STATUS WORD...
ends() {
    local wanted=$1 status=0
    shift
    inside "$@" >"$work/out" 2>"$work/errors" </dev/null || status=$?
    [ "$status" -eq "$wanted" ] || bad "'run $*' ends with $status, not $wanted"
    nobody_was_killed
}

nobody_was_killed() {
    local kills
    kills=$(awk '$1 == "oom_kill" { print $2 }' "$group/memory.oom_control")
    [ "$kills" -eq 0 ] || bad "the kernel has killed $kills"
    [ -z "$(find "$group" -mindepth 1 -type d)" ] || bad "groups are left behind"
}

summary() { jq -e "$1" "$work/summary" >/dev/null || bad "this does not hold of the summary: $1"; }

eventually() { # WHAT COMMAND...
    local what=$1 round
    shift
    for ((round = 0; round < 400; round++)); do
        "$@" 2>/dev/null && return
        sleep 0.05
    done
    bad "$what"
}

# Page cache first, charged to the group: what is full of clean files is not full.
fill_cache() {
    bash -c 'echo $BASHPID >"$0/cgroup.procs"; head -c 150000000 /dev/zero >"$1"; sync "$1"; cat "$1" >/dev/null' \
        "$group" "$work/file"
}

# ── a signal in time ─────────────────────────────────────────────────────────────────────────────────────────────────

fill_cache
ends 143 -- "$hog" 200M
summary '.exit_status == 143 and .kernel_kills == 0 and .limit_bytes == 102760448 and (.wall | startswith("cgroup v1"))'
summary '.actions[0] | .trigger == "critical=signal:TERM" and .action == "SIGTERM"'
summary '.ended_by == "itself, asked by headroom" and .peak_bytes > 90000000 and .peak_bytes <= 104857600'
summary '[.levels[].to] | index("warning") != null and index("critical") != null'

# A handler has its time, and what ends in order ends with its own status.
ends 5 --grace 20s -- "$hog" 200M --on-term=5 --pause=300
# A program that does not end is ended, all of it, and the summary says by whom.
ends 137 --grace 1s -- sh -c "trap '' TERM; $hog 199M --deaf & $hog 11M --deaf & wait; wait"
summary '.ended_by == "headroom" and .kernel_kills == 0 and ([.actions[].action] | index("SIGKILL") != null)'
pgrep -f "^$hog (199|11)M --deaf" >/dev/null && bad "some of the tree is left" # other tests have hogs too

# A message is no end: what gives memory back goes on.
ends 0 --at 60M=signal:USR1 -- "$hog" 90M --drop-on-usr1
summary '[.actions[] | select(.action == "SIGUSR1")] | length >= 1'
# Whatever is asked for happens at each rise, and tells how it stands.
ends 0 --limit 90M --at "30M=exec:echo \$HEADROOM_USE \$HEADROOM_LIMIT \$HEADROOM_LEVEL \$HEADROOM_PID >>$work/rises" \
    -- "$hog" 40M --saw=3
[ "$(wc -l <"$work/rises")" -eq 3 ] || bad "three rises do three things, not $(wc -l <"$work/rises")"
awk '$1 < 30 * 1048576 || $2 != 94371840 || $3 != "normal" || $4 <= 1 { exit 1 }' "$work/rises" ||
    bad "the environment of exec is wrong: $(cat "$work/rises")"
ends 0 --limit 50M --observe -- "$hog" 60M
summary '(.actions | length > 0) and all(.actions[]; .action == "nothing (observed)") and .exit_status == 0'
ends 134 --on-limit abort -- "$hog" 200M
summary '[.actions[].action] == ["SIGABRT"]'
# The process that has grown is not the main one: it does not sleep at the wall until the grace is over.
ends 134 --on-limit abort -- sh -c "$hog 200M --deaf & $hog 10M --deaf & wait"
summary '[.actions[].action] == ["SIGABRT"]'

# ── a wall that cannot be built ──────────────────────────────────────────────────────────────────────────────────────

# As in a container: cgroupfs is mounted read-only.
walled_off() { # STATUS WORD...
    local wanted=$1 status=0
    shift
    bash -c 'echo $BASHPID >"$0/cgroup.procs"; exec "$@"' "$group" unshare -m sh -c \
        'mount -o remount,ro,bind "$0" && exec "$@"' "$mount" \
        "$headroom" run --summary-json "$work/summary" "$@" >"$work/out" 2>"$work/errors" || status=$?
    [ $status -eq "$wanted" ] || bad "with a read-only cgroupfs 'run $*' ends with $status"
    nobody_was_killed
    summary '.kernel_kills == 0 and (.wall | startswith("none"))'
}
if unshare -m true 2>/dev/null; then
    fill_cache
    walled_off 143 -- "$hog" 200M --rate=400
    # A process that the command leaves behind grows on in its grace.
    walled_off 143 -- sh -c "$hog 200M --deaf --rate=100 & wait"
    summary '[.actions[].action] == ["SIGTERM", "SIGKILL"]'
    # Half of what many processes take is kernel memory, and version 1 does not say what it is.
    echo 40M >"$group/memory.limit_in_bytes"
    walled_off 143 -- sh -c 'for i in $(seq 1000); do sleep 60 & done; wait'
    echo 100M >"$group/memory.limit_in_bytes"
else
    echo "note: a read-only cgroupfs was not tried"
fi

# ── a message ────────────────────────────────────────────────────────────────────────────────────────────────────────

# SIGHUP often means that a configuration is to be read again: the wall stays where it is.
beside --limit 60M -- sh -c 'trap "echo again" HUP; trap "exit 0" TERM; echo ready; while :; do sleep 0.1; done'
has_said() { grep -q "$1" "$work/child.out"; }
eventually "it does not begin" has_said ready
wall=$group/headroom-tree-$child/memory.limit_in_bytes
before=$(cat "$wall")
kill -HUP $child
eventually "SIGHUP does not arrive" has_said again
[ "$(cat "$wall")" -eq "$before" ] || bad "SIGHUP moves the wall from $before to $(cat "$wall")"
kill -TERM $child
wait $child || bad "it does not end in order"

# ── frozen, and on again ─────────────────────────────────────────────────────────────────────────────────────────────

beside --limit 60M --on-limit freeze -- "$hog" 80M
frozen() { grep -q 'is frozen at' "$work/child.errors"; }
eventually "nothing is frozen" frozen
sleep 0.3
[ ! -s "$work/child.out" ] || bad "it goes on while it is frozen"
run 1 limit --set 1M $child
says errors "stays"
member=$(pgrep -P $child -x hog)
echo 200M >"$group/memory.limit_in_bytes" # the limit around is told as it is now
run 0 limit --set 110M "$member"
grep -qx "the limit of hog ([0-9]*) is 110.0 MiB" "$work/out" || bad "a limit is told wrong: $(cat "$work/out")"
echo 100M >"$group/memory.limit_in_bytes"
status=0
wait $child || status=$?
child=""
[ $status -eq 0 ] || bad "after the limit was raised it ends with $status"
nobody_was_killed
summary '[.actions[].action] == ["freeze", "110.0 MiB", "thaw"] and .kernel_kills == 0'
summary '(.wall | startswith("cgroup v1 at 110.0 MiB")) and .limit_source == "headroom limit --set"'
run 1 limit --set 95M $$
says errors "no 'headroom run' watches process $$"

# Without a wall it is stopped by signals, and thawed before it is ended.
beside --at 40M=freeze -- sh -c "$hog 50M & $hog 5M & wait"
eventually "nothing is frozen" frozen
kill -TERM $child
status=0
wait $child || status=$?
child=""
[ $status -eq 143 ] || bad "what is frozen and is to end ends with $status"
nobody_was_killed
summary '[.actions[].action] == ["freeze", "thaw"]'
pkill -KILL -P 1 -f "^$hog" || true # what it leaves behind is its own affair: a shell does not end its children

# ── what runs already ────────────────────────────────────────────────────────────────────────────────────────────────

"$hog" 70M --wait &
hog_pid=$!
status=0
"$headroom" run --pid $hog_pid --limit 60M --summary-json "$work/summary" 2>"$work/errors" || status=$?
[ $status -eq 0 ] || bad "the watch of a process ends with $status"
status=0
wait $hog_pid || status=$?
[ $status -eq 143 ] || bad "a process that is watched ends with $status"
summary '.peak_bytes > 50000000 and .actions[0].action == "SIGTERM"'

# ── trees ────────────────────────────────────────────────────────────────────────────────────────────────────────────

# None of four is near the limit alone.
ends 143 -- sh -c "for i in 1 2 3 4; do $hog 40M --wait & done; wait"
# A pipeline under one limit, which is far away: its data are page cache and pipes, and it is whole.
ends 0 -- sh -c 'head -c 300000000 /dev/zero | tr "\0" x | wc -c'
[ "$(cat "$work/out")" = 300000000 ] || bad "a pipeline is not whole"
summary '.peak_bytes < 50000000 and .actions == []'

# A build: make with four jobs, each a compiler that is several processes.
if command -v make gcc >/dev/null; then
    mkdir "$work/tree"
    printf 'all: $(addsuffix .o,1 2 3 4 5 6 7 8)\n%%.o: %%.c\n\tgcc -O2 -c -o $@ $<\n' >"$work/tree/Makefile"
    for unit in {1..8}; do # some 40 MB and half a second each
        { echo '#include <stdio.h>'
          for ((line = 0; line < 1500; line++)); do
              echo "int f$line(int a, int b)"
              echo "{ for (int i = 0; i < b; i++) a = a * $line + i; printf(\"%d\", a); return a; }"
          done; } >"$work/tree/$unit.c"
    done
    echo 500M >"$group/memory.limit_in_bytes"
    ends 0 --limit 400M -- make -s -C "$work/tree" -j4
    summary '.actions == [] and .kernel_kills == 0 and .peak_bytes > 20000000'
    [ "$(find "$work/tree" -name '*.o' | wc -l)" -eq 8 ] || bad "make has not built everything"
    rm -f "$work"/tree/*.o
    ends 143 --limit 40M -- sh -c "trap 'exit 143' TERM; make -s -C $work/tree -j4 & wait; wait"
    # Below the limit until it is asked to end; then the wall is raised by 16 MiB at the most, for its handlers.
    summary '.kernel_kills == 0 and .actions[0].use_bytes <= 41943040 and .peak_bytes <= 58720256 and
        .ended_by == "itself, asked by headroom"'
    pgrep -f "gcc.*$work/tree" >/dev/null && bad "some of make's tree is left"
fi

exit "$failed"
