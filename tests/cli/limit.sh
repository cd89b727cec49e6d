#!/usr/bin/env bash
# headroom limit as start scripts use it: one number, or a sentence.
#
# A function that a trap calls looks unreachable to shellcheck.
# shellcheck disable=SC2317
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
group="" child=""
cleanup() {
    if [ -n "$child" ]; then kill "$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true; fi
    if [ -n "$group" ]; then rmdir "$group" || true; fi
    rm -rf "$work"
}
trap cleanup EXIT

number() { # WORD...: the only line is a whole number
    run 0 limit "$@"
    [[ $(cat "$work/out") =~ ^[0-9]+$ ]] || bad "limit $*: no whole number: $(cat "$work/out")"
    cat "$work/out"
}

all=$(number)
[ "$(number --percent 100 --unit B)" = "$all" ] || bad "100 % are not all"
half=$(number --percent 50)
((half >= all / 2 - 1 && half <= all / 2 + 1)) || bad "50 % of $all is $half"
[ "$(number --unit MiB)" = $((all >> 20)) ] || bad "MiB are wrong"
[ "$(number --unit GiB --percent 10)" = $((all / 10 >> 30)) ] || bad "GiB are wrong"
[ "$(ulimit -v 2000000 && number)" = $((all < 2048000000 ? all : 2048000000)) ] || bad "RLIMIT_AS is no limit"

# As JSON: always the same members, and the number that is printed without.
members='["pid","limit_bytes","limit_source","percent","unit","number","note"]'
run 0 limit --json --percent 50 --unit MiB
holds "keys_unsorted == $members and .pid == null and .percent == 50 and .unit == \"MiB\""
holds "(.limit_source | length > 0) and (.number - (.limit_bytes / 2097152 | floor) | fabs) <= 1"
run 0 limit --json --pid $$
holds "keys_unsorted == $members and .pid == $$ and .number == .limit_bytes and .percent == 100 and .unit == \"B\""
sleep 60 &
child=$!
run 1 limit --json --set 400M "$child"
[ ! -s "$work/out" ] || bad "there is JSON although nobody watches the process"
kill "$child"
"$headroom" run --quiet --limit 1G -- sleep 60 &
child=$!
for _ in {1..100}; do
    ! "$headroom" limit --json --set 400M "$child" >"$work/out" 2>/dev/null || break
    sleep 0.05
done
holds "keys_unsorted == $members and .pid == $child and .limit_bytes == 419430400 and .number == .limit_bytes"
holds '.limit_source == "headroom limit --set" and (.note | contains("is 400.0 MiB"))'
kill "$child"
wait "$child" || true

for words in '--percent 0' '--percent 101' '--percent x' '--percent 7.5' '--unit kB' '--unit' 'extra' '--pid 0'; do
    # shellcheck disable=SC2086 # words
    run 2 limit $words
done
sleep 0 &
wait $!
run 1 limit --pid $!
says errors "headroom limit: there is no process $!"
run 0 limit --help
says out '--percent'
says out 'redis-server --maxmemory'

mount=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
if [ "$(id -u)" -eq 0 ] && [ -n "$mount" ] && mkdir "$mount/headroom-limit-$$" 2>/dev/null; then
    group=$mount/headroom-limit-$$
    echo 100M >"$group/memory.limit_in_bytes"
    sleep 60 &
    child=$!
    echo "$child" >"$group/cgroup.procs"
    [ "$(number --pid "$child" --percent 75 --unit MiB)" = 75 ] || bad "75 % of 100 MiB are $(cat "$work/out")"
else
    echo "note: no memory cgroup of version 1 can be made here, so no process in one was looked at"
fi

# Where the host is the only limit and does not say what it has, none can be known.
run 0 doctor --json
if [ "$(jq -r .limit_source "$work/out")" = "host memory" ] &&
    unshare -m mount --bind /dev/null /proc/meminfo 2>/dev/null; then
    status=0
    # shellcheck disable=SC2016 # it is the inner shell's
    unshare -m sh -c 'mount --bind /dev/null /proc/meminfo && exec "$0" limit' "$headroom" \
        >"$work/out" 2>"$work/errors" || status=$?
    [ "$status" -eq 1 ] || bad "without a limit it ends with $status"
    [ ! -s "$work/out" ] || bad "without a limit there is a number"
    says errors "headroom limit: no limit is known"
else
    echo "note: /proc/meminfo cannot be hidden here, so a machine without a limit was not looked at"
fi

exit "$failed"
