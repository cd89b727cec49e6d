#!/usr/bin/env bash
# headroom run as a shell would expect it: exit statuses, signals, job control, processes that are left behind, PID 1.
#
# shellcheck disable=SC2016 # what is in single quotes is for another shell
# shellcheck disable=SC2317 # what a trap calls looks unreachable
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
child=""
cleanup() {
    if [ -n "$child" ]; then kill -KILL "$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap cleanup EXIT

# eventually WHAT COMMAND...: within ten seconds.
eventually() {
    local what=$1 round
    shift
    for ((round = 0; round < 200; round++)); do
        "$@" 2>/dev/null && return
        sleep 0.05
    done
    bad "$what"
}

# ── exit statuses ────────────────────────────────────────────────────────────────────────────────────────────────────

run 0 run --limit 1G -- true
run 7 run --limit 1G sh -c 'exit 7'
run 1 run --limit 1G -- false
run 143 run --limit 1G -- sh -c 'kill -TERM $$'
run 137 run --limit 1G -- sh -c 'kill -KILL $$'
run 127 run --limit 1G -- "$work/nowhere"
says errors "$work/nowhere' cannot be executed: No such file or directory"
echo nothing >"$work/plain"
run 126 run --limit 1G -- "$work/plain"
run 126 run --limit 1G -- "$work"
run 125 run
says errors "a command is missing"
run 125 run --colour -- true
run 125 run --limit 0 -- true
says errors "--limit '0' is no limit: write a size such as 400M, or a share such as 90%"
run 125 run --at critical=jump -- true
says errors "--at 'critical=jump': its ACTION is none"
run 125 run --grace soon -- true
run 125 run --on-limit melt -- true
run 125 run --pid 1 -- true
run 125 run --pid 99999999 --limit 1G
run 125 run --limit 1G --report "$work/nowhere/file" -- true
says errors "--report '$work/nowhere/file' cannot be written"
run 125 run --limit 1G --summary-json "$work/nowhere/file" -- touch "$work/touched"
says errors "--summary-json '$work/nowhere/file' cannot be written"
[ ! -e "$work/touched" ] || bad "the command runs before it is known that there is no place for the summary"
run 125 run --limit 1K -- true
says errors "a limit of 1.0 KiB is too small"
run 2 limit --set 10M abc
says errors "PID 'abc' is no process"

# The command's words are its own, its input and output too.
run 0 run --limit 1G echo --limit --pid -x
[ "$(cat "$work/out")" = "--limit --pid -x" ] || bad "words of the command are taken for options"
[ "$(echo through | "$headroom" run --quiet --limit 1G -- cat 2>&1)" = through ] || bad "a pipe does not go through"
[ -z "$("$headroom" run --quiet --limit 1G -- true 2>&1)" ] || bad "--quiet is not quiet"
run 0 run --limit 1G -- sh -c 'trap "" PIPE; exit 0'
# Neither a signal mask nor a descriptor is left to the command.
run 0 run --limit 1G -- grep SigBlk /proc/self/status
says out "0000000000000000"
run 0 run --limit 1G -- sh -c 'ls /proc/self/fd | wc -l'
[ "$(cat "$work/out")" -eq "$(sh -c 'ls /proc/self/fd | wc -l' </dev/null 2>/dev/null)" ] ||
    bad "descriptors are left to the command"

# ── the summary ──────────────────────────────────────────────────────────────────────────────────────────────────────

run 3 run --limit 100M --summary-json "$work/summary" -- sh -c 'exit 3'
says errors "ended with status 3"
cp "$work/summary" "$work/out"
holds '.limit_bytes == 104857600 and .exit_status == 3 and .kernel_kills == 0 and .refusals == 0 and .heap == false'
holds '.peak_bytes > 0 and .peak_bytes < 104857600 and .actions == [] and .levels == [] and .ended_by == "itself"'
holds '.command == ["sh", "-c", "exit 3"]'
run 0 run --quiet --limit 100M --summary-json - -- true
holds '.exit_status == 0'
run 0 run --limit 50% --summary-json "$work/summary" -- true
cp "$work/summary" "$work/out"
holds '.limit_source | contains("a share of")'
run 0 run --summary-json "$work/summary" -- true
cp "$work/summary" "$work/out"
holds '.limit_bytes > 0 and (.limit_source | contains("a little below"))'
# The memory that it took is known without a group too, and kept for the report.
run 0 run --limit 1G --observe --report "$work/history" --summary-json "$work/summary" -- \
    sh -c 'x=$(head -c 30000000 /dev/zero | tr "\0" x); sleep 1.2; echo ${#x}'
cp "$work/summary" "$work/out"
holds '.peak_bytes > 30000000 and .peak_bytes < 200000000 and (.wall | contains("observed"))'
run 0 report "$work/history"
says out "sample"
run 0 report --json "$work/history"
holds '[.records[].live_bytes] | max > 30000000'

# The environment says it too; a value that is none is named.
HEADROOM_OBSERVE=1 run 0 run --limit 1G --summary-json "$work/summary" -- true
cp "$work/summary" "$work/out"
holds '.wall | contains("observed")'
HEADROOM_OBSERVE=yes run 125 run -- true
says errors "HEADROOM_OBSERVE is 'yes': write 1"

# ── signals ──────────────────────────────────────────────────────────────────────────────────────────────────────────

# Each signal arrives once, and the command's answer to it is the exit status.
counter='import os,signal,sys,time
n = 0
def count(*_):
    global n
    n += 1
signal.signal(signal.SIGUSR1, count)
signal.signal(signal.SIGTERM, lambda *_: os._exit(40 + n))
open(sys.argv[1], "w").write("ready")
while True: time.sleep(0.05)'
if command -v python3 >/dev/null; then
    "$headroom" run --quiet --limit 1G -- python3 -c "$counter" "$work/ready" &
    child=$!
    eventually "the command does not begin" test -s "$work/ready"
    kill -USR1 $child
    sleep 0.3
    kill -USR1 $child
    sleep 0.3
    kill -TERM $child
    status=0
    wait $child || status=$?
    child=""
    [ $status -eq 42 ] || bad "two signals arrive as $((status - 40))"
    rm "$work/ready"
fi

# The supervisor's end by SIGKILL is the command's end.
"$headroom" run --quiet --limit 1G -- sh -c 'echo $$ >"$0"; exec sleep 60' "$work/pid" &
child=$!
eventually "the command does not begin" test -s "$work/pid"
kill -KILL $child
wait $child 2>/dev/null || true
eventually "the command outlives its supervisor" sh -c "! kill -0 $(cat "$work/pid")"
find /sys/fs/cgroup -name "headroom-$child" -type d -exec rmdir {} + 2>/dev/null || true # nobody is left to do it
child=""

# Being stopped is seen by who started it; going on, by the command.
rm "$work/pid"
# In a group of its own below this shell: the kernel drops SIGTSTP in a group that nobody in its session could continue.
set -m
"$headroom" run --quiet --limit 1G -- sh -c 'echo $$ >"$0"; while :; do sleep 0.1; done' "$work/pid" &
child=$!
set +m
eventually "the command does not begin" test -s "$work/pid"
state_is() { grep -q "^State:.$2" "/proc/$1/status"; }
kill -TSTP $child
eventually "the supervisor does not stop with its command" state_is $child T
eventually "the command is not stopped" state_is "$(cat "$work/pid")" T
kill -CONT $child
eventually "the command does not go on" state_is "$(cat "$work/pid")" S
kill -TERM $child
status=0
wait $child || status=$?
child=""
[ $status -eq 143 ] || bad "it ends with $status after TERM"

# The shell is shown the signal that stopped the command: by ^Z that is SIGTSTP.
if command -v python3 >/dev/null; then
    run_stopped='import os, signal, sys, time
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    os.execv(sys.argv[1], sys.argv[1:])
while not os.path.exists(sys.argv[-1]): time.sleep(0.02)
os.killpg(pid, signal.SIGTSTP)
_, status = os.waitpid(pid, os.WUNTRACED)
print(signal.Signals(os.WSTOPSIG(status)).name if os.WIFSTOPPED(status) else status)
os.killpg(pid, signal.SIGCONT)
os.killpg(pid, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))'
    python3 -c "$run_stopped" "$headroom" run --quiet --limit 1G -- sh -c 'touch "$0"; while :; do sleep 0.1; done' \
        "$work/stopping" >"$work/out" || true
    [ "$(xargs <"$work/out")" = "SIGTSTP 143" ] ||
        bad "a command that is stopped by ^Z shows as '$(xargs <"$work/out")'"
fi

# ── the terminal ─────────────────────────────────────────────────────────────────────────────────────────────────────

if command -v tmux >/dev/null && command -v python3 >/dev/null; then
    rm -f "$work/ready"
    cat >"$work/tty.py" <<'PYTHON'
import os, signal, sys, time
n = 0
def count(*_):
    global n
    n += 1
signal.signal(signal.SIGINT, count)
open(sys.argv[1], "w").write("ready")
end = time.time() + 20
while not n and time.time() < end: time.sleep(0.05)
time.sleep(0.5)
open(sys.argv[2], "w").write(str(n))
time.sleep(3)
PYTHON
    tmux=(tmux -S "$work/tmux" -f /dev/null)
    TERM=xterm "${tmux[@]}" new-session -d -x 120 -y 20 "bash --norc"
    "${tmux[@]}" send-keys \
        "$headroom run --limit 1G -- python3 $work/tty.py $work/ready $work/count; echo status \$?" Enter
    eventually "the command does not begin at a terminal" test -s "$work/ready"
    sleep 0.3
    "${tmux[@]}" send-keys C-c
    eventually "^C does not arrive" test -s "$work/count"
    [ "$(cat "$work/count" 2>/dev/null)" = 1 ] || bad "^C arrives $(cat "$work/count") times"
    line_is_there() { "${tmux[@]}" capture-pane -p | grep -q 'of 1.0 GiB ('; }
    eventually "there is no status line" line_is_there
    "${tmux[@]}" send-keys C-z
    stopped() { "${tmux[@]}" capture-pane -p | grep -q Stopped; }
    eventually "^Z does not give the shell back" stopped
    "${tmux[@]}" send-keys fg Enter
    ended() { "${tmux[@]}" capture-pane -p | grep -q 'status 0'; }
    eventually "it does not end after fg" ended
    # On a terminal that is narrower than the line it stays one line.
    TERM=xterm "${tmux[@]}" new-session -d -s narrow -x 30 -y 20 "$headroom run --limit 1G -- sleep 4"
    lines_are() { [ "$("${tmux[@]}" capture-pane -p -t narrow | grep -c .)" -eq "$1" ]; }
    eventually "there is no status line on a narrow terminal" lines_are 1
    sleep 2.2
    lines_are 1 ||
        bad "the status line leaves lines behind on a narrow terminal: $("${tmux[@]}" capture-pane -p -t narrow)"
    "${tmux[@]}" kill-server || true
else
    echo "note: the terminal was not tried: there is no tmux"
fi

# ── as process 1, and as the parent of orphans ───────────────────────────────────────────────────────────────────────

# A server that goes into the background ends the run, which says so.
run 0 run --limit 1G -- sh -c 'sleep 2 & exit 0'
says errors "1 process that it started runs on with no watch and no limit: a server is to stay in the foreground"
run 0 run --quiet --limit 1G -- sh -c 'sleep 1 & exit 0'
[ ! -s "$work/errors" ] || bad "--quiet is not quiet of what is left"
run 5 run --limit 1G -- sh -c '(sleep 0.3; exit 9) & (setsid sh -c "exit 3" &) ; sleep 0.6; exit 5'
if unshare --pid --fork --mount-proc true 2>/dev/null; then
    status=0
    unshare --pid --fork --mount-proc "$headroom" run --limit 1G -- \
        sh -c '(setsid sleep 0.1 &); sleep 0.5; ps -eo stat= 2>/dev/null | grep -c Z; test "$PPID" -eq 1 && exit 6' \
        >"$work/out" 2>"$work/errors" || status=$?
    [ $status -eq 6 ] || bad "as process 1 it ends with $status"
    [ "$(head -n 1 "$work/out")" = 0 ] || bad "process 1 leaves zombies"
else
    echo "note: as process 1 it was not tried: no process namespace can be made"
fi

# ── completion ───────────────────────────────────────────────────────────────────────────────────────────────────────

case " $(completes 'headroom run --') " in *" --on-limit "*) ;; *) bad "--on-limit is not offered" ;; esac
for word in $(completes 'headroom run --'); do
    "$headroom" run --help | grep -q -- "$word" || bad "'$word' is offered, and is no option"
done
[ "$(completes 'headroom run --on-limit f')" = "freeze fail" ] || bad "'--on-limit f' is not completed"

exit "$failed"
