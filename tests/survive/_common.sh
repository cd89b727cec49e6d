# shellcheck shell=bash
# What the survival tests share: how a trial is run and what it has to show.

source_dir=${HEADROOM_SOURCE_DIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
build_dir=${HEADROOM_BUILD_DIR:-$source_dir/build/release}
export HEADROOM_BUILD_DIR=$build_dir

skip() {
    echo "skipped: $*"
    exit 77
}

for program in headroom-store headroom-load; do
    [ -x "$build_dir/examples/store/$program" ] ||
        skip "$program is not built (libmicrohttpd, uthash, libcurl or libxxhash is missing)"
done

work=$(mktemp -d)
trial_pid=""
clean_up_trial() {
    set +e
    trap '' INT TERM
    if [ -n "$trial_pid" ] && kill "$trial_pid" 2>/dev/null; then
        wait "$trial_pid"
    fi
    rm -rf "$work"
}
trap clean_up_trial EXIT
# A second signal does not disturb the cleaning up.
trap 'trap "" INT TERM; exit 130' INT
trap 'trap "" INT TERM; exit 143' TERM

failures=0
declare -A figures

# Runs trial.sh in a real cgroup and holds its figures against what every trial has to show.
#   trial NAME OPTION_OF_TRIAL... -- OPTION_OF_LOAD...
trial() {
    local name=$1 status=0 key value condition bad=()
    shift
    figures=()
    # Options of trial.sh come first, and the load's are its last.
    HEADROOM_CAGE=${HEADROOM_CAGE:-cgroup} HEADROOM_TRIAL_LOG=$work/log \
        bash "$source_dir/examples/store/trial.sh" "$@" >"$work/figures" 2>"$work/err" &
    trial_pid=$!
    wait "$trial_pid" || status=$?
    trial_pid=""
    [ "$status" -ne 77 ] || skip "$(cat "$work/err")"
    while IFS='=' read -r key value; do
        figures[$key]=$value
    done <"$work/figures"
    if [ "$status" -ne 0 ]; then
        bad+=("the trial ended with $status: $(cat "$work/err")")
    else
        for condition in alive=1 server_exit=0 pinned_lost=0 pinned_wrong=0 cache_wrong=0 read_wrong=0 unread=0; do
            key=${condition%=*}
            [ "${figures[$key]}" = "${condition#*=}" ] || bad+=("$key is ${figures[$key]}, not ${condition#*=}")
        done
        case ${figures[kernel_kills]} in
        0 | -) ;; # - is a cage without such a count, where server_exit tells
        *) bad+=("the kernel killed ${figures[kernel_kills]} times") ;;
        esac
        for key in cache_served pinned_served; do
            [ "${figures[$key]}" -gt 0 ] || bad+=("$key is 0")
        done
    fi
    printf '%s: %s (seed %s, %s s, cage %s, peak %s of %s bytes, held %s, served %s + %s + %s)\n' \
        "$([ ${#bad[@]} -eq 0 ] && echo ok || echo FAILED)" "$name" \
        "${figures[seed]:-?}" "${figures[server_seconds]:-?}" \
        "${figures[cage]:-?}" "${figures[peak_bytes]:-?}" "${figures[limit_bytes]:-?}" "${figures[held_bytes]:-?}" \
        "${figures[cache_served]:-?}" "${figures[pinned_served]:-?}" "${figures[read_served]:-?}"
    if [ ${#bad[@]} -gt 0 ]; then
        failures=$((failures + 1))
        printf '    %s\n' "${bad[@]}"
        echo "    repeat it with: trial.sh $* --seed ${figures[seed]:-?}"
        sed 's/^/    figures: /' "$work/figures"
        sed 's/^/    server: /' "$work/log" 2>/dev/null || true
    fi
}

finish() {
    if [ "$failures" -gt 0 ]; then
        echo "$failures failed"
        exit 1
    fi
}
