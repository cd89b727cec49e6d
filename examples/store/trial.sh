#!/usr/bin/env bash
# One trial: the object store in a cage of memory, the load client outside of it.
#
#   trial.sh [--limit SIZE_IN_MIB] [--server OPTION]... [-- LOAD_OPTION...]
#   trial.sh --cage      only says which cage it would be
#
# The cage is a memory cgroup of its own without swap, v1 or v2; where that is not permitted a systemd user scope; else
# RLIMIT_AS. HEADROOM_CAGE=cgroup, scope or rlimit wants one of them and no other. HEADROOM_BUILD_DIR is where the
# programs are (default build/release).
#
# HEADROOM_TRIAL_RECORD is a history file that the server is recorded in from outside, by `headroom run --pid`.
#
# Prints key=value lines: those of headroom-load, and these.
#
#     cage            which cage it was                     server_exit     its exit status, 137 if it was killed
#     limit_bytes     of the cage                           kernel_kills    the cage's own count (- where it has none)
#     server_seconds  how long the server lived             peak_bytes      the most that the cage held (- likewise)
#
# Exit status: 0 if the trial took place, whatever came of it; 77 if there is no such cage here; 1 if it could not be
# carried out.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${HEADROOM_BUILD_DIR:-$here/../../build/release}
store=$build/examples/store/headroom-store
load=$build/examples/store/headroom-load

limit_mib=100
only_cage=false
server_options=()
while [ $# -gt 0 ]; do
    case $1 in
    --limit) limit_mib=${2:?--limit needs a number of MiB} && shift 2 ;;
    --server) server_options+=("${2:?--server needs an option of headroom-store}") && shift 2 ;;
    --cage) only_cage=true && shift ;;
    --) shift && break ;;
    *) echo "trial: '$1' is not expected: --limit, --server, --cage, or -- and headroom-load's options" >&2 && exit 1 ;;
    esac
done
limit=$((limit_mib * 1024 * 1024))

for program in "$store" "$load"; do
    if [ ! -x "$program" ]; then
        echo "trial: $program is not there: build it first, or set HEADROOM_BUILD_DIR" >&2
        exit 1
    fi
done

work=""
group=""      # the cgroup that we made
counters=""   # the cgroup whose counters are read
server=""     # pid
keeper=""     # pid of the shell that waits for the server
client=""     # pid
recorder=""   # pid

# ── the end, whenever it comes ───────────────────────────────────────────────────────────────────────────────────────

alive() {
    kill -0 "$1" 2>/dev/null
}

# Waits until a process is gone, for at most the given tenths of a second.
gone_within() { # pid tenths
    local i
    for ((i = 0; i < $2; i++)); do
        alive "$1" || return 0
        sleep 0.1
    done
    ! alive "$1"
}

# Whatever fails here, the rest is cleaned up all the same.
clean_up() {
    set +e
    trap '' INT TERM
    [ -z "$client" ] || kill "$client" 2>/dev/null
    [ -z "$recorder" ] || kill "$recorder" 2>/dev/null
    if [ -n "$keeper" ]; then
        for _ in {1..20}; do # it may have been started just now
            server=$(cat "$work/pid" 2>/dev/null)
            [ -z "$server" ] || break
            sleep 0.05
        done
        if [ -n "$server" ] && alive "$keeper" && alive "$server"; then
            kill "$server"
            gone_within "$server" 120 || kill -KILL "$server"
        fi 2>/dev/null
        wait "$keeper" 2>/dev/null
    fi
    for _ in {1..40}; do # the kernel may need a moment until it knows that the group is empty
        if [ ! -d "$group" ] || rmdir "$group" 2>/dev/null; then
            break
        fi
        sleep 0.05
    done
    [ -z "$work" ] || rm -rf "$work"
}
trap clean_up EXIT
# A second signal does not disturb the cleaning up.
trap 'trap "" INT TERM; exit 130' INT
trap 'trap "" INT TERM; exit 143' TERM
work=$(mktemp -d)

# ── cages ────────────────────────────────────────────────────────────────────────────────────────────────────────────

# Makes a cgroup below one of the given folders and sets its limit; sets `group` and `cage`.
try_group() { # version parent...
    local version=$1 parent limited
    shift
    for parent in "$@"; do
        group=$parent/headroom-trial-$$ # before it is there, so that an interruption finds it
        limited=false
        if [ ! -d "$parent" ] || ! mkdir "$group" 2>/dev/null; then
            group=""
            continue
        fi
        if [ "$version" = v1 ]; then
            if echo "$limit" >"$group/memory.limit_in_bytes"; then
                # Without swap: by its own limit where swap is counted, else by preference.
                { echo "$limit" >"$group/memory.memsw.limit_in_bytes" || echo 0 >"$group/memory.swappiness"; } || true
                limited=true
            fi
        elif [ -e "$group/memory.max" ] && echo "$limit" >"$group/memory.max"; then
            { echo 0 >"$group/memory.swap.max"; } || true
            limited=true
        fi 2>/dev/null
        if $limited; then
            counters=$group
            cage="cgroup $version"
            return 0
        fi
        rmdir "$group"
        group=""
    done
    return 1
}

# At the root where that is permitted; else beside our own group (v2 allows no processes beside groups) or below it.
try_cgroup() {
    local mount own
    mount=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
    if [ -n "$mount" ]; then
        own=$(awk -F: '$2 ~ /(^|,)memory(,|$)/ { print $3; exit }' /proc/self/cgroup)
        try_group v1 "$mount" "$mount$own" && return 0
    fi
    mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
    if [ -n "$mount" ] && grep -qw memory "$mount/cgroup.controllers" 2>/dev/null; then
        own=$(awk -F: '$1 == 0 { print $3; exit }' /proc/self/cgroup)
        try_group v2 "$mount" "$(dirname "$mount$own")" "$mount$own" && return 0
    fi
    return 1
}

scope=(systemd-run --user --scope --quiet --collect -p "MemoryMax=$limit" -p MemorySwapMax=0 --)

try_scope() {
    command -v systemd-run >/dev/null && "${scope[@]}" true 2>/dev/null && cage="systemd user scope"
}

try_rlimit() {
    cage="RLIMIT_AS"
}

cage=""
case ${HEADROOM_CAGE:-any} in
any) try_cgroup || try_scope || try_rlimit ;;
cgroup | scope | rlimit) "try_$HEADROOM_CAGE" || true ;;
*) echo "trial: HEADROOM_CAGE is cgroup, scope or rlimit" >&2 && exit 1 ;;
esac
if [ -z "$cage" ]; then
    echo "trial: there is no $HEADROOM_CAGE for memory here, or no permission to make one" >&2
    exit 77
fi
if $only_cage; then
    echo "$cage"
    exit 0
fi

# ── the trial ────────────────────────────────────────────────────────────────────────────────────────────────────────

enter_and_run() { # command...
    if [ -n "$group" ]; then
        echo "$BASHPID" >"$group/cgroup.procs"
    elif [ "$cage" = RLIMIT_AS ]; then
        ulimit -v $((limit / 1024))
    else
        set -- "${scope[@]}" "$@"
    fi
    exec "$@"
}

# The server is the child of a shell that notes when and how it ended, and that outlives it whatever comes.
keep() {
    trap : INT TERM
    enter_and_run "$store" --listen 127.0.0.1:0 ${server_options[@]+"${server_options[@]}"} \
        >"$work/out" 2>"$work/err" &
    local pid=$! status=0
    echo "$pid" >"$work/pid"
    wait "$pid" || status=$?
    while alive "$pid"; do # a signal ended the waiting, and not the server
        status=0
        wait "$pid" || status=$?
    done
    echo "$status $EPOCHREALTIME" >"$work/end"
}

began=$EPOCHREALTIME
keep 2>/dev/null &
keeper=$!
for _ in {1..100}; do
    port=$(sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/out" 2>/dev/null || true)
    if [ -n "$port" ] || [ -e "$work/end" ]; then
        break
    fi
    sleep 0.05
done
server=$(cat "$work/pid")
if [ -z "$port" ]; then
    echo "trial: the server did not start:" >&2
    cat "$work/err" >&2
    exit 1
fi

# A scope goes with its last process: what the kernel killed is also counted one level higher, by all that is there.
if [ "$cage" = "systemd user scope" ]; then
    counters=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
    counters+=$(dirname "$(awk -F: '$1 == 0 { print $3 }' "/proc/$server/cgroup")")
fi
kills() {
    cat "$counters/memory.events" "$counters/memory.oom_control" 2>/dev/null |
        awk '$1 == "oom_kill" { n = $2 } END { print n == "" ? "-" : n }' || true
}
kills_before=$(kills)
if [ -n "${HEADROOM_TRIAL_RECORD:-}" ]; then
    "$build/cli/headroom" run --observe --quiet --limit "$limit" --pid "$server" --report "$HEADROOM_TRIAL_RECORD" &
    recorder=$!
fi

status=0
"$load" --url "http://127.0.0.1:$port" "$@" >"$work/load" 2>"$work/load.err" &
client=$!
wait "$client" || status=$?
client=""
if [ "$status" -ne 0 ]; then
    echo "trial: headroom-load ended with $status:" >&2
    cat "$work/load.err" >&2
    exit 1
fi

peak=-
if [ -n "$group" ]; then
    peak=$(cat "$group/memory.max_usage_in_bytes" 2>/dev/null || cat "$group/memory.peak" 2>/dev/null || echo -)
fi
ended=$EPOCHREALTIME
if alive "$server"; then
    kill "$server"
    gone_within "$server" 120 || kill -KILL "$server"
else
    ended="" # before its time: the keeper knows when
fi
wait "$keeper" || true
if [ -n "$recorder" ]; then
    wait "$recorder" || true
    recorder=""
fi
read -r server_exit server_end <"$work/end"

# ── what came of it ──────────────────────────────────────────────────────────────────────────────────────────────────

cat "$work/load"
echo "cage=$cage"
echo "limit_bytes=$limit"
echo "server_exit=$server_exit"
awk -v a="$began" -v b="${ended:-$server_end}" 'BEGIN { printf "server_seconds=%.2f\n", b - a }'
kills_after=$(kills)
if [ "$kills_before" = - ] || [ "$kills_after" = - ]; then
    echo "kernel_kills=-"
else
    echo "kernel_kills=$((kills_after - kills_before))"
fi
echo "peak_bytes=$peak"
if [ -n "${HEADROOM_TRIAL_LOG:-}" ]; then
    cat "$work/out" "$work/err" >"$HEADROOM_TRIAL_LOG"
fi
