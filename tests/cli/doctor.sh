#!/usr/bin/env bash
# headroom doctor as people and programs use it: text, JSON, wrong words, another root, another process.
#
# A function that a trap calls looks unreachable to shellcheck.
# shellcheck disable=SC2317
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
# shellcheck source=SCRIPTDIR/../support/nobody.sh
source "$here/../support/nobody.sh"
group="" child=""
cleanup() {
    if [ -n "$child" ]; then kill "$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true; fi
    if [ -n "$group" ]; then rmdir "$group" || true; fi
    rm -rf "$work"
}
trap cleanup EXIT

# ── another root ─────────────────────────────────────────────────────────────────────────────────────────────────────

put() { # FILE TEXT
    mkdir -p "$work/root/$(dirname "$1")"
    printf '%b' "$2" >"$work/root/$1"
}

put proc/self/cgroup '0::/app/worker\n'
put proc/self/mountinfo '24 30 0:22 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n'
put proc/meminfo 'MemTotal:  4194304 kB\nMemAvailable:  2097152 kB\n'
put sys/fs/cgroup/app/memory.max '104857600\n'
put sys/fs/cgroup/app/memory.high '83886080\n'
put sys/fs/cgroup/app/memory.current '99999999\n'
put sys/fs/cgroup/app/memory.stat \
    'inactive_anon 40000000\nactive_anon 1000000\nkernel 3000000\nslab_reclaimable 2000000\nsock 500000\n'\
'active_file 57499999\n'
put sys/fs/cgroup/app/worker/memory.max 'max\n'
put sys/fs/cgroup/app/worker/memory.stat 'inactive_anon 30000000\n'

run 0 doctor --json --root "$work/root"
holds '.limit_bytes == 83886080 and .limit_source == "cgroup v2 /app memory.high"'
holds '.cgroup_version == 2 and .cgroup_path == "/app/worker"'
holds '.cgroup_bytes == 42500000 and .cgroup_cache_bytes == 57499999'
holds '.level == "normal" and .use > 0.50 and .use < 0.51'
holds '.thresholds_bytes == {warn_at: 67108864, warn_below: 62914560, degrade_at: 75497472, critical_at: 79691776,
    recover_below: 67108864}'
holds '.pressure == null and .events == null and .swap_bytes == null and .dirty_bytes == 0 and .hugetlb == []'
holds '.host_total_bytes == 4294967296 and .host_available_bytes == 2147483648'
holds '.rss_bytes == null and .allocator == null and .allocator_purge == null'
holds '[.ledgers[].source] == ["cgroup v2 /app/worker memory.max", "cgroup v2 /app memory.high",
    "cgroup v2 /app memory.max", "host memory"]'
holds '.ledgers[1] | .name == "cgroup" and .binds and .decides and .use_bytes == 42500000 and .cache_bytes == 57499999'
holds '.ledgers[0] | .limit_bytes == null and .use_bytes == 30000000 and (.binds or .decides | not)'
holds '.ledgers | all(.measures | length > 20)'
holds '[.signals[].usable] == [null, null, null]'
holds '.ledgers[2] | .limit_bytes == 104857600 and .use_bytes == 42500000 and (.binds or .decides | not)'
holds '.findings | length == 1 and (.[0] | .id == "memory-high-binds" and (.advice | length > 20) and
    (.text | contains("memory.high of the cgroup /app is 80.0 MiB, below its memory.max (100.0 MiB)")))'
holds '.unseen == []'

run 0 doctor --root "$work/root"
says out 'normal: 40.5 MiB of 80.0 MiB used (50.7 %); the limit is set by cgroup v2 /app'
says out '80.0 MiB   50.7 %  BD  cgroup v2 /app memory.high'
says out '100.0 MiB   40.5 %      cgroup v2 /app memory.max'
says out 'degraded        over 72.0 MiB, until below 64.0 MiB'
says out 'page cache      54.8 MiB in the cgroup that binds'
says out '  memory-high-binds'
says out '    -> Take memory.high for the limit'
LC_ALL=C.UTF-8 awk 'length > 80' "$work/out" | grep . && bad "lines are wider than 80 columns"
grep -q $'\033' "$work/out" && bad "there are colours in a file"

# A group's name may hold what a terminal would obey.
put proc/self/cgroup "0::/a\\033[2Jb\\n"
put $'sys/fs/cgroup/a\033[2Jb/memory.max' '1048576\n'
put $'sys/fs/cgroup/a\033[2Jb/memory.stat' 'active_anon 4096\n'
run 0 doctor --root "$work/root"
says out 'cgroup v2 /a?[2Jb memory.max'
grep -q $'\033' "$work/out" && bad "a group's name reaches the terminal as it is"
# And it need not be UTF-8, which JSON has to be.
put proc/self/cgroup '0::/a\0377b\n'
put $'sys/fs/cgroup/a\377b/memory.max' '1048576\n'
run 0 doctor --json --root "$work/root"
holds '.cgroup_path == "/a?b" and .limit_bytes == 1048576'

mkdir "$work/empty"
run 0 doctor --json --root "$work/empty"
holds '[.limit_bytes, .limit_source, .cgroup_version, .cgroup_path, .cgroup_bytes, .host_total_bytes, .use]
    | all(. == null)'
holds '.level == "normal" and .ledgers == [] and (.unseen | length == 2)'
run 0 doctor --root "$work/empty"
says out 'no limit was found'

# ── pressure, events, what is collected ──────────────────────────────────────────────────────────────────────────────

rm -rf "$work/root/sys" "$work/root/proc/self/cgroup"
put proc/self/cgroup '0::/app\n'
put proc/self/mountinfo '24 30 0:22 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n'\
'31 30 0:40 /home/alice /home rw - nfs4 filer:/secret rw,user=alice\n'
put proc/self/limits 'Max address space         4096000000           unlimited            bytes     \n'\
'Max open files            1073741816           1073741816           files     \n'
put proc/self/statm '25000 2560 100 10 0 20000 0\n'
put sys/fs/cgroup/app/memory.max '104857600\n'
put sys/fs/cgroup/app/memory.high '73400320\n'
put sys/fs/cgroup/app/memory.current '73400000\n'
put sys/fs/cgroup/app/memory.stat \
    'inactive_anon 10000000\nactive_anon 20000000\nactive_file 30000000\nfile_dirty 1000\n'
put sys/fs/cgroup/app/memory.swap.current '5000000\n'
put sys/fs/cgroup/app/memory.oom.group '1\n'
put sys/fs/cgroup/app/memory.events 'low 0\nhigh 4711\nmax 3\noom 0\noom_kill 0\noom_group_kill 0\n'
put sys/fs/cgroup/app/memory.pressure 'some avg10=91.20 avg60=50.00 avg300=10.00 total=123\n'\
'full avg10=61.50 avg60=40.00 avg300=8.00 total=99\n'
put sys/fs/cgroup/app/hugetlb.2MB.max '4194304\n'
put sys/fs/cgroup/app/hugetlb.2MB.current '2097152\n'

run 0 doctor --json --root "$work/root" --collect "$work/collected"
holds '.level == "critical" and .use < 0.6'
holds '[.findings[].id] | sort == ["files-limit", "hugetlb-limit", "memory-high-binds", "oom-group",
    "swap-used", "thrashing", "throttled-at-high"]'
holds '.findings | all((.text | length > 20) and (.advice | length > 20))'
holds '.pressure | .some_avg10 == 91.2 and .full_avg10 == 61.5 and .full_total_us == 99'
holds '.events | .high == 4711 and .max == 3 and .oom_kill == 0'
holds '.swap_bytes == 5000000 and .dirty_bytes == 1000 and .rss_bytes == 10485760'
holds '.hugetlb == [{source: "cgroup v2 /app hugetlb.2MB.max", use_bytes: 2097152, limit_bytes: 4194304}]'
holds '.ledgers[] | select(.source == "RLIMIT_AS") | .limit_bytes == 4096000000 and .use_bytes == 10485760'
jq 'del(.signals)' "$work/out" >"$work/first"
run 0 doctor --json --root "$work/collected"
jq 'del(.signals)' "$work/out" | cmp - "$work/first" || bad "what was collected gives another report"
grep -rqE 'alice|secret|filer' "$work/collected" && bad "secrets were collected"
run 0 doctor --root "$work/root"
says out 'all for 61.5 %'
says out 'high 4711, max 3'

run 0 doctor --json --collect "$work/here"
[ -s "$work/here/proc/meminfo" ] || bad "this machine's files were not collected"
run 0 doctor --json --root "$work/here"
holds '.host_total_bytes > 0 and .rss_bytes > 0'
run 1 doctor --collect /dev/null/x
says errors "--collect '/dev/null/x'"
run 2 doctor --collect ''
says errors "--collect '' is empty: write a folder, such as /tmp/report"
run 2 doctor --watch --collect "$work/here"
says errors 'do not go together'

# A line a second in a pipe, and it ends with the process that it looks at.
sleep 2.5 &
watched=$!
run 0 doctor --watch --pid "$watched"
[ "$(wc -l <"$work/out")" -ge 2 ] || bad "there are no lines: $(cat "$work/out")"
grep -qvE '^(normal|warning|degraded|critical): ' "$work/out" && bad "a line has no level"
wait "$watched"

# ── words that are wrong ─────────────────────────────────────────────────────────────────────────────────────────────

run 2
says errors "a verb is missing"
run 2 treat
says errors "'treat' is no verb"
run 2 doctor --colour
says errors "--colour"
run 2 --colour
grep -q "^headroom: unrecognized option '--colour'" "$work/errors" || bad "it does not call itself headroom"
run 2 doctor extra
says errors "'extra' is not expected"
for pid in 0 -1 x 12x 99999999999; do
    run 2 doctor --pid "$pid"
    says errors "--pid '$pid' is no process: write its number"
done
run 2 doctor --root ''
says errors "--root '' is empty: write a folder that holds proc/ and sys/"
run 1 doctor --root "$work/nowhere"
says errors "$work/nowhere': No such file or directory"
run 1 doctor --root "$work/root/proc/meminfo"
says errors "Not a directory"
sleep 0 &
wait $!
run 1 doctor --pid $!
says errors "there is no process $!"
run 0 --version
says out "headroom "
run 0 --help
says out "doctor"
run 0 doctor --help
says out "--json"
if [ -e /dev/full ]; then
    for words in doctor --help --version 'doctor --help' 'doctor --version' 'report --usage'; do
        # shellcheck disable=SC2086 # words
        "$headroom" $words >/dev/full 2>"$work/errors" && bad "a full disk is success: $words"
        says errors "headroom: standard output: No space left"
    done
fi

# ── this machine ─────────────────────────────────────────────────────────────────────────────────────────────────────

(ulimit -v 4000000 && run 0 doctor --json && exit "$failed") || failed=1
holds '.ledgers[] | select(.source == "RLIMIT_AS") | .limit_bytes == 4096000000 and .use_bytes < 1000000000'
holds '.rss_bytes > 0 and .allocator != null and (.signals | length == 3 and all(.usable != null))'
holds '[.ledgers[] | select(.binds)] | length == 1'

# A forked child shares pages until it calls exec.
bash -c '(read -r -t 60 line < <(sleep 60); true) & wait' &
parent=$!
for _ in $(seq 100); do
    run 0 doctor --json --pid "$parent"
    if jq -e '.forked_children == 1' "$work/out" >/dev/null; then break; fi
    sleep 0.1
done
holds '.forked_children == 1 and .lease_processes == 0'
run 0 doctor --pid "$parent"
says out 'forked children'
pkill -P "$parent" || true
kill "$parent" || true

# Another process, in a group of its own; its limit is not ours.
mount=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
if [ "$(id -u)" -eq 0 ] && [ -n "$mount" ] && mkdir "$mount/headroom-doctor-$$" 2>/dev/null; then
    group=$mount/headroom-doctor-$$
    echo 67108864 >"$group/memory.limit_in_bytes"
    sleep 60 &
    child=$!
    echo "$child" >"$group/cgroup.procs"
    run 0 doctor --json --pid "$child"
    holds ".limit_bytes == 67108864 and .cgroup_version == 1 and .cgroup_path == \"/${group##*/}\""
    holds ".limit_source == \"cgroup v1 /${group##*/} memory.limit_in_bytes\" and .allocator == \"glibc\""
    run 0 doctor --json
    holds ".limit_bytes != 67108864"
else
    echo "note: no memory cgroup of version 1 can be made here, so no process in one was looked at"
fi

# Another's process: what may be seen is shown, and what may not is listed.
chmod 711 "$work"
why=$(nobody_copy "$headroom" "$work/reachable")
[ "$(id -u)" -eq 0 ] && other=$$ || other=1
if [ -z "$why" ] && [ "$(stat -c %u /proc/"$other")" -eq 0 ]; then
    headroom=$work/reachable/as_nobody
    run 0 doctor --json --pid "$other"
    holds '.rss_bytes > 0 and .allocator == null'
    holds ".unseen | any(. == \"/proc/$other/maps cannot be read: Permission denied. The allocator is not known.\")"
    headroom=$HEADROOM_BUILD_DIR/cli/headroom
else
    echo "note: another's process was not looked at: ${why:-process 1 is not of root}"
fi

# ── completion ───────────────────────────────────────────────────────────────────────────────────────────────────────

[ "$(completes 'headroom l')" = limit ] || bad "'headroom l' is not completed"
[ "$(completes 'headroom limit --u')" = "--unit --usage" ] || bad "'headroom limit --u' is not completed"
[ "$(completes 'headroom d')" = doctor ] || bad "'headroom d' is not completed"
[ "$(completes 'headroom doctor --j')" = --json ] || bad "'headroom doctor --j' is not completed"
case " $(completes 'headroom doctor --pid ') " in *" 1 "*) ;; *) bad "process 1 is not offered for --pid" ;; esac
cd "$work"
[ "$(completes 'headroom doctor --root ro')" = root ] || bad "folders are not offered for --root"
# Completion offers the options that there are.
for word in $(completes 'headroom doctor --'); do
    "$headroom" doctor --help | grep -q -- "$word" || bad "'$word' is offered, and is no option"
done

exit "$failed"
