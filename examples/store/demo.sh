#!/usr/bin/env bash
# The same server, the same load, the same limit of the kernel: once without headroom, and three times with it.
#
#   demo.sh        environment: SEED=n repeats a run; TUNED=1 moves the thresholds close to the limit;
#                  HEADROOM_BUILD_DIR is where the programs are (default build/release); NO_COLOR=1;
#                  HEADROOM_DEMO_PAGE=FILE writes a page of both runs
#
# Exits 0 only if all of this holds. The unguarded server was killed. The guarded one was alive at the end, lost
# nothing, acknowledged writes of both classes, and held at least 60 % of the limit. The kernel killed nothing in its
# cage.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
seed=${SEED:-}
[ -n "$seed" ] || seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
build=${HEADROOM_BUILD_DIR:-$here/../../build/release}
limit_mib=100
held_needed=60 # per cent
held_goal=79
tuned=()
if [ -n "${TUNED:-}" ] && [ "$TUNED" != 0 ]; then
    held_goal=90
    tuned=(--server --warn-at=0.93 --server --degrade-at=0.97 --server --recover-below=0.93)
fi

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
    bold="" dim="" red="" green="" plain=""
fi

work=$(mktemp -d)
trial=""
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    set +e
    trap '' INT TERM
    if [ -n "$trial" ] && kill "$trial" 2>/dev/null; then
        wait "$trial"
    fi
    rm -rf "$work"
}
trap clean_up EXIT
# A second signal does not disturb the cleaning up.
trap 'trap "" INT TERM; exit 130' INT
trap 'trap "" INT TERM; exit 143' TERM

# ── the trials ───────────────────────────────────────────────────────────────────────────────────────────────────────

declare -A unguarded guarded again

run() { # result option...
    local -n result=$1
    local status=0 key value
    shift
    bash "$here/trial.sh" --limit $limit_mib "$@" -- \
        --seed "$seed" --total-bytes $((6 * limit_mib))MiB --max-seconds 15 \
        >"$work/out" 2>"$work/err" &
    trial=$!
    wait "$trial" || status=$?
    trial=""
    if [ $status -ne 0 ]; then
        cat "$work/err" >&2
        exit 1
    fi
    while IFS='=' read -r key value; do
        # shellcheck disable=SC2034 # a reference to one of those above
        result["$key"]=$value
    done <"$work/out"
}

cage=$(bash "$here/trial.sh" --limit $limit_mib --cage)
if [ "$cage" = RLIMIT_AS ] && [ "$(id -u)" -ne 0 ] && command -v sudo >/dev/null; then
    # Only root may make the cgroup. The build is done, so nothing but this script needs its rights.
    ask=(-v)
    [ -t 0 ] || ask=(-n -v)
    if sudo "${ask[@]}" 2>/dev/null; then
        echo "${dim}a memory cgroup is made by root: the demo goes on through sudo${plain}"
        rm -rf "$work"
        exec sudo SEED="$seed" TUNED="${TUNED:-}" HEADROOM_BUILD_DIR="${HEADROOM_BUILD_DIR:-}" \
            NO_COLOR="${NO_COLOR:-}" HEADROOM_DEMO_PAGE="${HEADROOM_DEMO_PAGE:-}" bash "$0"
    fi
fi
echo "${bold}headroom: one server, one load, ${limit_mib} MiB of memory${plain}"
echo
echo "${dim}16 connections offer six times the limit: 70 % cache writes, 10 % pinned writes, 20 % reads;" \
    "seed $seed${plain}"
if [ "$cage" = RLIMIT_AS ]; then
    echo "${red}No memory cgroup can be made here, and RLIMIT_AS kills nobody: this will prove nothing, and fail." \
        "Run it as root, or where systemd gives you user scopes.${plain}"
fi
page=${HEADROOM_DEMO_PAGE:-}
[ -z "$page" ] || export HEADROOM_TRIAL_RECORD="$work/without headroom"
run unguarded --server --unguarded
unset HEADROOM_TRIAL_RECORD
sampled=() # the page shows some seconds: a sample each is too few
[ -z "$page" ] || sampled=(--server "--history=$work/with headroom" --server --interval-ms=20)
run guarded ${tuned[@]+"${tuned[@]}"} ${sampled[@]+"${sampled[@]}"}
all_held=("${guarded[held_bytes]}")
for _ in 1 2; do # a share varies by some points from run to run
    run again ${tuned[@]+"${tuned[@]}"}
    all_held+=("${again[held_bytes]}")
done
echo "${dim}each server in a cage of its own: ${guarded[cage]}, no swap${plain}"
echo

# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────

row() { # name unguarded guarded
    printf '  %-34s %18s %18s\n' "$1" "$2" "$3"
}

rule() {
    printf '  %s\n' "${dim}$(printf '─%.0s' {1..71})${plain}"
}

each() { # name function argument...: the function prints what a trial's figures say
    local name=$1
    shift
    row "$name" "$("$1" unguarded "${@:2}")" "$("$1" guarded "${@:2}")"
}

figure() { # trial key unit
    local -n from=$1
    local value=${from[$2]:--}
    if [ "$value" = - ] || [ "$value" = -1 ]; then
        echo "-"
    else
        echo "$value${3:+ $3}"
    fi
}

mib() { # trial key
    local -n from=$1
    awk -v n="${from[$2]:--}" 'BEGIN { if (n == "-") print n; else printf "%.1f MiB", n / 1048576 }'
}

share() { # trial key
    local -n from=$1
    awk -v n="${from[$2]}" -v of="${from[limit_bytes]}" 'BEGIN { printf "%.1f %%", n * 100 / of }'
}

median_share() { # held_bytes of three trials
    printf '%s\n' "$@" | sort -n | awk -v of="${guarded[limit_bytes]}" 'NR == 2 { printf "%.1f %%", $1 * 100 / of }'
}

alive() {
    local -n from=$1
    if [ "${from[alive]}" = 1 ]; then
        echo "yes"
    else
        echo "no"
    fi
}

exit_status() {
    local -n from=$1
    if [ "${from[server_exit]}" = 137 ]; then
        echo "137 (SIGKILL)"
    else
        echo "${from[server_exit]}"
    fi
}

sum() { # trial suffix
    local -n from=$1
    echo "$((${from[cache_$2]} + ${from[pinned_$2]} + ${from[read_$2]}))"
}

lost() {
    local -n from=$1
    local gone=${from[pinned_lost]} wrong=${from[pinned_wrong]}
    echo "$((gone + wrong)) of ${from[pinned_acknowledged]}"
}

printf '%s' "$bold"
row "" "without headroom" "with headroom"
printf '%s' "$plain"
rule
each "alive at the end" alive
each "exit status of the server" exit_status
each "killed by the kernel" figure kernel_kills
each "seconds alive" figure server_seconds
rule
each "cache writes served" figure cache_served
each "pinned writes served" figure pinned_served
each "reads served" figure read_served
each "refused: too large now (413)" sum refused_413
each "refused: overloaded (503)" sum refused_503
each "refused: no budget (507)" sum refused_507
each "failed: no answer" sum failed
each "latency, median" figure p50_ms ms
each "latency, 99th percentile" figure p99_ms ms
rule
each "peak of the cage" mib peak_bytes
each "objects that read back" mib held_bytes
each "  as a share of the limit" share held_bytes
row "  the median of three such runs" "" "$(median_share "${all_held[@]}")"
each "acknowledged pinned objects lost" lost
each "back to warning or lower after" figure recovered_ms ms
rule
echo

# ── what it says ─────────────────────────────────────────────────────────────────────────────────────────────────────

if [ -n "$page" ]; then
    if "$build/cli/headroom" report --html -o "$page" "$work/without headroom" "$work/with headroom" 2>"$work/err"; then
        echo "Both runs side by side, for a browser: $page"
    else
        echo "There is no page of both runs: $(sed 's/^headroom report: //' "$work/err")"
    fi
    echo
fi

held=$(awk -v n="${guarded[held_bytes]}" -v of="${guarded[limit_bytes]}" 'BEGIN { printf "%.1f", n * 100 / of }')
reasons=()
need() { # reason condition...
    local reason=$1
    shift
    "$@" || reasons+=("$reason")
}
at_least() {
    awk -v a="$1" -v b="$2" 'BEGIN { exit !(a >= b) }'
}

need "the guarded server was not alive at the end" [ "${guarded[alive]}" = 1 ]
need "the guarded server ended with status ${guarded[server_exit]}" [ "${guarded[server_exit]}" = 0 ]
need "${guarded[pinned_lost]} pinned objects that it had acknowledged are lost" [ "${guarded[pinned_lost]}" = 0 ]
need "${guarded[pinned_wrong]} pinned objects have other bytes than were written" [ "${guarded[pinned_wrong]}" = 0 ]
need "objects of the cache have other bytes than were written" [ "${guarded[cache_wrong]}" = 0 ]
need "reads during the load gave other bytes than were written" [ "${guarded[read_wrong]}" = 0 ]
need "${guarded[unread]} objects could not be read back in time" [ "${guarded[unread]}" = 0 ]
need "the guarded server acknowledged no cache write" [ "${guarded[cache_served]}" -gt 0 ]
need "the guarded server acknowledged no pinned write" [ "${guarded[pinned_served]}" -gt 0 ]
need "it held $held % of the limit, not $held_needed %" at_least "$held" $held_needed
case ${guarded[kernel_kills]} in
0) ;;
-) [ "${guarded[server_exit]}" != 137 ] || reasons+=("the guarded server was killed") ;;
*) reasons+=("the kernel killed in the guarded server's cage") ;;
esac
need "the unguarded server was not killed (status ${unguarded[server_exit]}): ${unguarded[cage]} proves nothing" \
    [ "${unguarded[server_exit]}" = 137 ]
if [ "${guarded[cage]}" = RLIMIT_AS ]; then
    reasons+=("RLIMIT_AS makes malloc fail and kills nobody, and it counts mapped libraries too: run this as root, or
        where systemd gives you user scopes, for a real cgroup")
fi

if [ ${#reasons[@]} -eq 0 ]; then
    verdict="met"
    at_least "$held" "$held_goal" || verdict="missed this time"
    echo "${green}Without headroom the kernel killed the server after ${unguarded[server_seconds]} s, with all" \
        "objects that it had acknowledged.${plain}"
    echo "${green}With headroom it served to the end, kept every pinned object, and used $held % of the limit for" \
        "objects (goal $held_goal %: $verdict).${plain}"
else
    printf "${red}failed: %s${plain}\n" "${reasons[@]}"
    echo "Repeat it with SEED=$seed."
    exit 1
fi
