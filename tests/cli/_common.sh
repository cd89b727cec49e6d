# shellcheck shell=bash
# What the tests of the headroom command share: running it, and judging what it says. Their work folder is $work, and
# `failed` their exit status.
: "${HEADROOM_BUILD_DIR:?is the build to test}" "${HEADROOM_SOURCE_DIR:?is the tree}"
headroom=$HEADROOM_BUILD_DIR/cli/headroom
[ -x "$headroom" ] || { echo "skipped: the headroom command is not built here"; exit 77; }
command -v jq >/dev/null || { echo "skipped: there is no jq"; exit 77; }
work=$(mktemp -d)
export failed=0

bad() {
    echo "$(basename "$0" .sh): $*"
    sed 's/^/    /' "$work/out" "$work/errors" 2>/dev/null | head -n 15 | cut -c 1-200 || true
    failed=1
}

# run STATUS WORD...: runs the command, which is to end with STATUS; its output goes to $work/out and $work/errors.
run() {
    local wanted=$1 status=0
    shift
    "$headroom" "$@" >"$work/out" 2>"$work/errors" </dev/null || status=$?
    [ "$status" -eq "$wanted" ] || bad "'headroom $*' ends with $status, not $wanted"
}

says() { # out|errors TEXT: in a line as it is, or wherever lines are broken
    grep -qF -- "$2" "$work/$1" || tr '\n' ' ' <"$work/$1" | sed 's/  */ /g' | grep -qF -- "$2" ||
        bad "its $1 do not say '$2'"
}

holds() { # EXPRESSION of jq's
    jq -e "$1" "$work/out" >/dev/null || bad "this does not hold: $1"
}

# limited_group NAME SIZE: makes a memory cgroup with that limit and sets group; skips the test where none can be made.
limited_group() {
    group=/sys/fs/cgroup/memory/headroom-$1-$$
    [ -e /sys/fs/cgroup/memory/cgroup.procs ] || group=/sys/fs/cgroup/headroom-$1-$$
    if ! mkdir "$group" 2>/dev/null; then
        echo "skipped: no memory cgroup can be made here"
        exit 77
    fi
    if ! { echo "$2" | tee "$group/memory.limit_in_bytes" >/dev/null ||
        echo "$2" >"$group/memory.max"; } 2>/dev/null; then
        bad "the cgroup takes no limit"
        exit 1
    fi
}

# Removes it, once the kernel has let its processes go.
remove_group() {
    for _ in {1..40}; do
        if [ ! -d "$group" ] || rmdir "$group" 2>/dev/null; then return; fi
        sleep 0.05
    done
}

# completes WORDS [FILE]: the words that are offered for the last one, in one line.
completes() {
    bash --norc -c '
        source "$1"
        read -ra COMP_WORDS <<<"$2"
        [ "${2: -1}" = " " ] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$2 COMP_POINT=${#2}
        "_${COMP_WORDS[0]//-/_}" && echo "${COMPREPLY[*]}"' \
        bash "${2:-$HEADROOM_SOURCE_DIR/cli/completion.bash}" "$1"
}
