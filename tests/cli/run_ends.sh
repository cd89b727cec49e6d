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

summary() {
    jq -e "$1" "$work/summary" >/dev/null && return
    jq -c . "$work/summary" || true
    bad "this does not hold of the summary: $1"
}
eventually() { # WHAT COMMAND...: within twenty seconds
    local what=$1 round
    shift
    for ((round = 0; round < 400; round++)); do
        "$@" 2>/dev/null && return
        sleep 0.05
    done
    bad "$what"
}

# ── who has ended it ─────────────────────────────────────────────────────────────────────────────────────────────────

run 137 run --limit 60M --at 30M=signal:KILL --summary-json "$work/summary" -- "$hog" 50M --wait
summary '.ended_by == "headroom" and .exit_status == 137'

# One that has ended before it was looked at: /proc gives a zombie the root group, with all that the machine uses.
for _ in {1..20}; do
    run 0 run --limit 8M --summary-json "$work/summary" -- true
    summary '.ended_by == "itself" and .actions == [] and .peak_bytes < 8000000'
done

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
sleep 600 &
child=$!
eventually "it does not begin" grep -qx sleep /proc/$child/comm
"$headroom" run --pid $child --limit 1G --summary-json "$work/summary" 2>"$work/errors" &
watcher=$!
control() { grep -qF "headroom-run" /proc/net/unix && grep -q " $child\$" /proc/net/unix; }
eventually "the watch does not begin" control
kill -TERM $watcher
wait $watcher || true
says errors "is watched no more"
says errors "runs on"
summary '.exit_status == null and .command == ["sleep", "600"]'
says errors "sleep ($child)"

# ── one watcher, which is reached by its own number too ──────────────────────────────────────────────────────────────

"$headroom" run --quiet --pid $child --limit 1G --at 1K=freeze 2>"$work/watcher" &
watcher=$!
is_frozen() { grep -q '^State:.T' "/proc/$child/status"; }
eventually "a process is not frozen" is_frozen
run 125 run --pid $child --limit 1G
says errors "is watched already"
run 0 limit --set 2G $watcher
says out "of sleep ($child) is 2.0 GiB"
grep -q "the limit was set" "$work/watcher" || bad "a limit that is set by the watcher's number does not thaw"
kill -TERM $watcher
wait $watcher || true
eventually "a process stays frozen when its watcher leaves" sh -c "! grep -q '^State:.T' /proc/$child/status"
# Nobody is left to thaw what a watcher that is killed has frozen, but its keeper.
"$headroom" run --quiet --pid $child --limit 1G --at 1K=freeze 2>"$work/watcher" &
watcher=$!
eventually "a process is not frozen" is_frozen
kill -KILL $watcher
wait $watcher 2>/dev/null || true
goes_on() { ! is_frozen; }
eventually "a process stays frozen after its watcher" goes_on

# ── a frozen command that a signal does not end ──────────────────────────────────────────────────────────────────────

# It is frozen again. Without that it grew on with no limit where there is no wall, or slept at its wall in silence.
sleeper=$child
"$headroom" run --limit 40M --on-limit freeze --grace 200ms --summary-json "$work/summary" -- \
    "$hog" 100M --deaf --rate=40 >/dev/null 2>"$work/errors" &
child=$!
eventually "it is not frozen" grep -q 'is frozen' "$work/errors"
kill -TERM $child
twice() { [ "$(grep -c 'is frozen' "$work/errors")" = 2 ]; }
eventually "it is not frozen again" twice
run 0 limit --set 1G $child
wait $child || bad "it does not end by itself"
summary '[.actions[].action] == ["freeze", "thaw", "freeze", "1.0 GiB", "thaw"]'
child=$sleeper

# ── a command that is stopped, and one that hangs up ─────────────────────────────────────────────────────────────────

# Regression: the handler of a stopped command did not run, and it was killed after the grace.
run 7 run --limit 40M --at 20M=signal:TERM --grace 30s --summary-json "$work/summary" -- \
    bash -c 'trap "exit 7" TERM; "$0" 30M --rate=40 --wait >/dev/null & kill -STOP $$; wait' "$hog"
summary '[.actions[].action] == ["SIGTERM"]'
# A frozen command gets SIGHUP: where it is sent on, and where its terminal is closed.
hangs_up=("$headroom" run --limit 1G --at 20M=freeze --grace 30s --summary-json "$work/summary" --
    bash -c 'trap "kill \$!; exit 9" HUP; "$0" 40M --rate=40 --wait >/dev/null & wait' "$hog")
"${hangs_up[@]}" 2>"$work/errors" &
child=$!
eventually "it is not frozen" grep -q 'is frozen' "$work/errors"
kill -HUP $child
has_ended() { ! kill -0 $child; }
eventually "a frozen command stays after SIGHUP" has_ended
has_ended || kill -KILL $child
status=0
wait $child || status=$?
child=$sleeper
[ $status -eq 9 ] || bad "a frozen command that gets SIGHUP ends with $status"
summary '[.actions[].action] == ["freeze", "thaw"]'
if command -v python3 >/dev/null; then
    closing='import os, pty, signal, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGALRM, lambda *_: os.kill(pid, signal.SIGKILL))
signal.alarm(40)
seen = b""
while b"is frozen" not in seen:
    seen += os.read(terminal, 4096)
os.close(terminal)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))'
    python3 -c "$closing" "${hangs_up[@]}" >"$work/out" 2>"$work/errors" || true
    [ "$(cat "$work/out")" = 9 ] || bad "a frozen command whose terminal is closed: '$(cat "$work/out")'"
fi

# ── what it may not do ───────────────────────────────────────────────────────────────────────────────────────────────

if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    status=0
    setpriv --reuid 65534 --clear-groups "$headroom" run --pid $child --limit 1G 2>"$work/errors" || status=$?
    [ $status -eq 125 ] || bad "a process that it may not signal is watched: $status"
    says errors "may not be signalled: Operation not permitted"
else
    echo "note: another user's process was not tried: this takes root and setpriv"
fi

# ── files that would be lost, and words that mean nothing ────────────────────────────────────────────────────────────

run 0 run --limit 1G --report "$work/history" -- sleep 0.1
cp "$work/history" "$work/kept"
ln "$work/history" "$work/link"
for form in --html --json --csv; do
    run 1 report $form "$work/history" -o "$work/link"
    says errors "is what is read"
done
run 125 run --limit 1G --report "$work/history" --summary-json "$work/link" -- true
says errors "is the file of --report"
run 0 report "$work/history"
for word in abc -5M 0; do
    HEADROOM_LIMIT=$word run 1 limit
    says errors "HEADROOM_LIMIT is '$word': write a size"
    HEADROOM_LIMIT=$word run 125 run -- true
done
HEADROOM_LIMIT=512Mi run 0 limit
HEADROOM_LIMIT=none run 0 limit

# ── what the supervisor meets itself ─────────────────────────────────────────────────────────────────────────────────

# SIGPIPE and SIGXFSZ by its own writing are not sent on: they would end the command.
status=0
"$headroom" run --limit 1G --at 10M=log -- "$hog" 30M --rate=40 2> >(exec true) >/dev/null || status=$?
[ $status -eq 0 ] || bad "where nobody reads standard error the command ends with $status"
status=0
(ulimit -f 4; exec "$headroom" run --quiet --limit 1G --report "$work/short" -- "$hog" 30M --rate=40) >/dev/null ||
    status=$?
[ $status -eq 0 ] || bad "where a file may not grow the command ends with $status"
# Nothing can be seen, so it does not say that it watches.
if unshare -m true 2>/dev/null; then
    status=0
    unshare -m sh -c 'mount -t tmpfs none /proc && exec "$@"' sh "$headroom" run --limit 1G -- true 2>"$work/errors" ||
        status=$?
    [ $status -eq 125 ] || bad "without /proc it ends with $status"
    says errors "nothing can be watched"
fi

# ── only observed ────────────────────────────────────────────────────────────────────────────────────────────────────

run 0 run --observe --limit 30M --on-limit fail -- "$hog" 40M
says errors "it is only observed: no request is refused"
HEADROOM_OBSERVE=1 run 0 run --limit 30M --on-limit wait -- "$hog" 40M
says errors "it is only observed: no request is refused"

# ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────────────

# To log is no action that replaces the default.
run 143 run --limit 40M --at 20M=log --summary-json "$work/summary" -- "$hog" 60M --wait
summary '[.actions[].action] == ["log", "SIGTERM"]'
status=0
"$headroom" run --limit 1G --summary-json - -- sh -c 'exit 3' >/dev/full 2>"$work/errors" || status=$?
[ $status -eq 3 ] || bad "a summary that cannot be written changes the status to $status"
says errors "cannot be written"
run 125 run --limit 1G --report "$work/summary" -- true
says errors "no history file"
run 125 run --limit 99999999T -- true
says errors "is more than any machine has"

# ── stopped on a terminal ────────────────────────────────────────────────────────────────────────────────────────────

# Without it the shell waits for ever, and its keys reach nobody.
if command -v python3 >/dev/null; then
    stopped='import os, pty, signal, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
signal.alarm(20)
_, status = os.waitpid(pid, os.WUNTRACED)
print("stopped" if os.WIFSTOPPED(status) else status)
os.kill(pid, signal.SIGCONT)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))'
    python3 -c "$stopped" "$headroom" run --quiet --limit 1G -- sh -c 'kill -STOP $$; exit 7' >"$work/out" || true
    [ "$(xargs <"$work/out")" = "stopped 7" ] ||
        bad "a command that SIGSTOP stops on a terminal: '$(xargs <"$work/out")'"
fi

# A process that sleeps at its wall does not stop by ^Z, and its handlers do not run at ^C: both keys were lost.
if command -v python3 >/dev/null; then
    keys='import os, pty, signal, sys, time
pid, terminal = pty.fork()
if pid == 0:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
signal.alarm(40)
seen = b""
def until(text):
    global seen
    while text not in seen:
        seen += os.read(terminal, 4096)
    seen = seen.split(text, 1)[1]
def type_in(text):
    os.write(terminal, text)
type_in(" ".join(sys.argv[1:]).encode() + b"\n")
until(b"is frozen")
time.sleep(0.5)
type_in(b"\x1a")
until(b"Stopped")
type_in(b"fg\n")
until(b"fg")
time.sleep(0.5)
type_in(b"\x03")
until(b"ended with status 5")
print("both")'
    grower='import os, signal, time; signal.signal(2, lambda *_: os._exit(5));'
    grower+='held = [bytearray(b"x" * 1000000) for _ in range(60)]; time.sleep(60)'
    for as in "" "setpriv --reuid 65534 --clear-groups"; do
        [ -z "$as" ] || setpriv --reuid 65534 --clear-groups true 2>/dev/null || continue
        # shellcheck disable=SC2086 # two words and more
        python3 -c "$keys" $as "$headroom" run --limit 40M --on-limit freeze -- python3 -c "'$grower'" \
            >"$work/out" 2>"$work/errors" || true
        [ "$(cat "$work/out")" = both ] || bad "keys of a terminal whose command is frozen, as '${as:-root}'"
    done
fi

exit "$failed"
