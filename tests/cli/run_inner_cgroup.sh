#!/usr/bin/env bash
# headroom run where groups and namespaces are nested: a limit that the tree makes for itself, and a PID namespace
# whose /proc is that of the one around.
#
# shellcheck disable=SC2016 # what is in single quotes is for another shell
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
trap 'rm -rf "$work"' EXIT
hog=$HEADROOM_BUILD_DIR/tests/tools/hog
[ -x "$hog" ] || { echo "skipped: tests/tools/hog is not built here"; exit 77; }
mount=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)

summary() {
    jq -e "$1" "$work/summary" >/dev/null && return
    jq -c . "$work/summary" || true
    bad "this does not hold of the summary: $1"
}

# ── a limit within the tree ──────────────────────────────────────────────────────────────────────────────────────────

# Its group has the kernel's killer, which the wall has not: nobody would raise that limit.
if [ "$(id -u)" -eq 0 ] && [ -n "$mount" ] && [ -w "$mount/cgroup.procs" ]; then
    timeout -k 5 30 "$headroom" run --limit 80M --grace 1s --summary-json "$work/summary" -- bash -c '
        inner=$1$(sed -n "s/^.*:memory://p" /proc/self/cgroup)/inner
        mkdir "$inner" && echo 10M >"$inner/memory.limit_in_bytes"
        (echo 0 >"$inner/cgroup.procs"; exec "$0" 20M)
        echo inner $?' "$hog" "$mount" >"$work/out" 2>"$work/errors" || true
    says out "inner 137"
    summary '.exit_status == 0 and .kernel_kills == 1'
else
    echo "note: a limit within the tree was not tried: no memory cgroup of version 1 can be made here"
fi

# ── another namespace's /proc ────────────────────────────────────────────────────────────────────────────────────────

# The numbers that the tree has are those of strangers there.
if unshare --pid --fork true 2>/dev/null; then
    for how in --quiet --observe; do
        status=0
        unshare --pid --fork "$headroom" run $how --limit 60M --grace 1s --summary-json "$work/summary" -- \
            sh -c "$hog 20M; sleep 0.6" >"$work/out" 2>"$work/errors" || status=$?
        [ $status -eq 0 ] || bad "in a PID namespace with the /proc around, 'run $how' ends with $status"
        summary '.actions == [] and .peak_bytes > 15000000 and .peak_bytes < 60000000'
    done
    # A whole tree is found, and ended, by numbers that are its own.
    unshare --pid --fork "$headroom" run --limit 30M --grace 0 --summary-json "$work/summary" -- \
        sh -c "trap '' TERM; $hog 40M --deaf & $hog 1M --deaf & wait; wait" >"$work/out" 2>"$work/errors" || true
    summary '.ended_by == "headroom" and .kernel_kills == 0'
    unshare --pid --fork "$headroom" run --limit 1G --on-limit fail -- true 2>"$work/errors" || true
    says errors "/proc is another PID namespace's here"
else
    echo "note: another namespace's /proc was not tried: no PID namespace can be made here"
fi

exit "$failed"
