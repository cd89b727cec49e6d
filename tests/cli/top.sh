#!/usr/bin/env bash
# headroom top: guarded and watched processes, once, as JSON, and live in a terminal of tmux's.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
guard=$HEADROOM_BUILD_DIR/tests/tools/page_guard
[ -x "$guard" ] || { echo "skipped: libheadroom-http is not built here"; exit 77; }
[ -w /dev/shm ] || { echo "skipped: there is no /dev/shm"; exit 77; }
export LC_ALL=C.UTF-8 TERM=${TERM:-xterm}
started=()
session=""
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    [ -z "$session" ] || tmux -L "$session" kill-server 2>/dev/null || true
    for pid in ${started[@]+"${started[@]}"}; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean_up EXIT

mkfifo "$work/hold"
"$guard" "$work/page.html" <"$work/hold" >"$work/port" &
guarded=$!
started+=("$guarded")
exec 8>"$work/hold"
"$headroom" run --quiet --limit 300M -- sleep 120 8>&- &
started+=($!)
page() { # PID: its status file
    compgen -G "/dev/shm/headroom_status.$(id -u).$1.*"
}
for _ in {1..100}; do
    "$headroom" top --once --json >"$work/out" 2>/dev/null || true
    shown="select((.pid == $guarded and .share > 0) or (.limit_bytes == 314572800 and (.points | length) > 0))"
    [ "$(jq -s "[.[] | $shown] | length" "$work/out")" = 2 ] && break
    sleep 0.1
done
file=$(page "$guarded") || bad "the guard has no status page"
[ "$(stat -c %a "$file")" = 600 ] || bad "others can read the status page"

run 0 top --once --json --filter page_guard
holds "select(.pid == $guarded) | .name == \"page_guard\" and .limit_bytes == 67108864 and (.watched | not)"
holds "select(.pid == $guarded) | .share > 0 and .time_ns > 0 and
    (.level | IN(\"normal\", \"warning\", \"degraded\", \"critical\"))"
run 0 top --once --json --filter sleep
watched=$(jq 'select(.limit_bytes == 314572800) | .pid' "$work/out") # not one of a neighbour's
run 0 top --once --json --filter "$watched"
holds '.name == "sleep" and .watched and .refusals == null and .level == "normal" and
    (.points | length) > 0'
run 0 top --once
says out "page_guard"
says out "LEVEL"
says out "64.0 MiB"
run 0 top --once --filter no-such-program
says out "no process is guarded or watched here"
run 0 top --once --json --sort pid
jq -se '[.[].pid] | . == sort' "$work/out" >/dev/null || bad "--sort pid does not sort"
run 0 top --once --json --sort name
jq -se '[.[].name] | . == sort' "$work/out" >/dev/null || bad "--sort name does not sort"
run 2 top --sort colour
says errors "there are share, use, rate, full, level, name and pid"
run 2 top 17
says errors "there are only options"
run 1 top
says errors "this is no terminal"
grep -q "built without ncurses" "$work/errors" && no_screen=1 || no_screen=""

# A file that is not of its process is passed over: one of another start, a link, one that others can write, garbage.
space=$(stat -Lc %i /proc/self/ns/pid)
copy=/dev/shm/headroom_status.$(id -u).$guarded.1.$space
made=("$copy")
cp "$file" "$copy"
garbage=/dev/shm/headroom_status.$(id -u).$$.$(awk '{print $22}' /proc/$$/stat).$space
head -c 4096 /dev/urandom >"$garbage"
chmod 600 "$garbage"
made+=("$garbage")
run 0 top --once --json
[ "$(jq -s "[.[] | select(.pid == $guarded)] | length" "$work/out")" = 1 ] || bad "a stale file is believed"
[ "$(jq -s "[.[] | select(.pid == $$)] | length" "$work/out")" = 0 ] || bad "garbage is believed"
: >"$garbage"
run 0 top --once --json
[ "$(jq -s "[.[] | select(.pid == $$)] | length" "$work/out")" = 0 ] || bad "an empty file is believed"
chmod 644 "$file"
run 0 top --once --json
[ "$(jq -s "[.[] | select(.pid == $guarded)] | length" "$work/out")" = 0 ] ||
    bad "a file that others can read is believed"
chmod 600 "$file"
rm -f "${made[@]}"

# Another PID namespace with the same /dev/shm sees none of these processes, and leaves their files alone.
if unshare --pid --fork --mount-proc true 2>/dev/null; then
    unshare --pid --fork --mount-proc "$headroom" run --quiet --limit 1G -- true || bad "no run in a PID namespace"
    [ -e "$file" ] || bad "a run in another PID namespace removes the status page of a process that lives"
else
    echo "note: another PID namespace was not tried: none can be made here"
fi

if command -v tmux >/dev/null && [ -z "$no_screen" ]; then
    session=headroom-$$
    tmux -L "$session" -f /dev/null new-session -d -x 120 -y 12 "$headroom top" 8>&-
    screen() { tmux -L "$session" capture-pane -p >"$work/out"; }
    shows() { # TEXT
        for _ in {1..60}; do
            screen
            grep -qF -- "$1" "$work/out" && return
            sleep 0.1
        done
        bad "the screen does not show '$1'"
    }
    shows "by share"
    shows "page_guard"
    shows "sleep"
    tmux -L "$session" send-keys s
    shows "by use"
    tmux -L "$session" send-keys r
    shows "by use, reversed"
    tmux -L "$session" send-keys / page Enter
    shows "with page"
    sleep 0.3
    screen
    ! grep -q sleep "$work/out" || bad "the filter does not filter"
    tmux -L "$session" send-keys Escape
    shows "sleep"
    tmux -L "$session" send-keys / page Enter
    shows "with page"
    # Narrow, it is still readable: no line runs over, and the names are there.
    tmux -L "$session" resize-window -x 40 -y 10
    sleep 1.2
    shows "page_guard"
    [ "$(wc -L <"$work/out")" -le 40 ] || bad "at 40 columns a line is longer"
    tmux -L "$session" resize-window -x 30 -y 12
    tmux -L "$session" send-keys Escape s r
    tmux -L "$session" send-keys / Escape
    # A neighbour's processes may be there too.
    listed() { "$headroom" top --once --json 2>/dev/null | wc -l; }
    cut_down() {
        for _ in {1..60}; do
            screen
            [ "$(grep -c . "$work/out")" -eq $(($(listed) + 2)) ] && return
            sleep 0.1
        done
        false
    }
    cut_down || bad "30 columns are not a title, a head and a line for each process: $(cat "$work/out")"
    tmux -L "$session" send-keys q
    for _ in {1..50}; do tmux -L "$session" list-sessions >/dev/null 2>&1 || break; sleep 0.1; done
    ! tmux -L "$session" list-sessions >/dev/null 2>&1 || bad "q does not end it"

    # Levels have colours, and none with NO_COLOR.
    for no in "" 1; do
        tmux -L "$session" -f /dev/null new-session -d -x 120 -y 12 "NO_COLOR=$no $headroom top" 8>&-
        shows "page_guard"
        tmux -L "$session" capture-pane -e -p >"$work/out"
        colours=$(grep -cP '\e\[[0-9;]*3[0-7]m' "$work/out") || true
        [ "$((colours > 0))" = "$((${no:-0} == 0))" ] || bad "with NO_COLOR='$no' $colours lines have colours"
        tmux -L "$session" kill-server
        for _ in {1..50}; do tmux -L "$session" list-sessions >/dev/null 2>&1 || break; sleep 0.1; done
    done
fi

# With the guard goes its page; that of a killed process goes with the next one's.
exec 8>&-
wait "$guarded" || bad "the guard's program ends with $?"
page "$guarded" >/dev/null && bad "the page of a guard that was freed is still there"
mkfifo "$work/again"
"$guard" "$work/page.html" <"$work/again" >"$work/port" &
killed=$!
exec 8>"$work/again"
for _ in {1..100}; do page "$killed" >/dev/null && break; sleep 0.1; done
page "$killed" >/dev/null || bad "the second guard has no status page"
kill -KILL "$killed"
wait "$killed" || true
run 0 top --once --json
[ "$(jq -s "[.[] | select(.pid == $killed)] | length" "$work/out")" = 0 ] || bad "a killed process is listed"
mkfifo "$work/third"
"$guard" "$work/page.html" <"$work/third" >"$work/port" &
started+=($!)
exec 9>"$work/third"
for _ in {1..100}; do page "$killed" >/dev/null || break; sleep 0.1; done
! page "$killed" >/dev/null || bad "the page of a killed process is not swept"
exit "$failed"
