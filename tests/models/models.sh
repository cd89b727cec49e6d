#!/usr/bin/env bash
# The model of the cells (cells.pml): spin searches all of it, and has to find each mistake that is planted in it.
#
#   models.sh [full]      full: larger searches and all mistakes (minutes, up to 2 GiB)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

for tool in spin gcc; do
    if ! command -v "$tool" >/dev/null; then
        echo "skipped: $tool is missing (scripts/setup test installs it)"
        exit 77
    fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failed=0
memory_mib=2000

# search "OPTION_OF_GCC..." MACRO...: builds the model with these macros and searches it; the result is in $work/out.
# The end states that spin itself calls invalid are left to the model's own judge (-E): it knows who is frozen.
search() {
    local options=$1
    shift
    rm -rf pan* out
    # spin says what it dislikes on its standard output, and can still exit with 0.
    if ! spin -a "$@" "$here/cells.pml" >out 2>&1 || [ ! -f pan.c ]; then
        return 1
    fi
    # shellcheck disable=SC2086 # several options
    gcc $options -w -DSAFETY -DMEMLIM=$memory_mib -o pan pan.c >out 2>&1 || return 1
    ./pan -E -m100000 -w24 >out 2>&1 || true
}

complain() {
    failed=1
    echo "FAILED  $1: $2"
    sed 's/^/    /' out
}

# holds NAME "OPTION_OF_GCC..." MACRO...: the search finds no error, and leaves nothing out.
holds() {
    local name=$1 options=$2 states start=$SECONDS
    shift 2
    if ! search "-O2 $options" "$@"; then
        complain "$name" "could not be built"
    elif ! grep -q 'errors: 0$' out; then
        complain "$name" "an error, or no result"
    elif grep -qiE 'search not completed|max search depth too small|out of memory|assertion violated|truncated' out ||
        ! grep -q '^Full statespace search' out; then
        complain "$name" "the search was not complete"
    else
        states=$(awk '/states, stored/ { print $1 }' out)
        echo "ok      $name: $states states, $((SECONDS - start)) s"
    fi
}

# fails PROPERTY NAME MACRO...: the search finds that this property, by its name in cells.pml, does not hold.
fails() {
    local property=$1 name=$2 found
    shift 2
    if ! search -O0 "$@"; then
        complain "$name" "could not be built"
        return
    fi
    found=$(sed -n 's/.*assertion violated \(.*\) (at depth.*/\1/p' out)
    if [ "$found" != "$property" ]; then
        complain "$name" "'$property' should fail, and what failed is '$found'"
    else
        echo "ok      $name: $property fails, as it should"
    fi
}

signal=(-DOPS_0=1)
no_signal=(-DHANDLER_0=0)

echo "the protocol:"
holds "no signals, frozen owners, membarrier may fail" "" "${no_signal[@]}" -DFREEZE -DFAILING
holds "a signal handler and frozen owners" "" "${signal[@]}" -DFREEZE
holds "a signal handler between two calls" "" -DCAPACITY=2
holds "a thread ends, another adopts its cell" "" "${no_signal[@]}" -DOPS_0=1 -DADOPT -DFREEZE -DCAPACITY=2
if [ "${1:-}" = full ]; then
    holds "two calls by each thread" "" "${no_signal[@]}" -DOPS_1=2 -DFREEZE -DFAILING
    holds "a signal handler between two calls, longer buffers" -DCOLLAPSE
    holds "adoption with a signal handler" -DCOLLAPSE -DOPS_0=1 -DADOPT
    holds "both threads have signal handlers" -DCOLLAPSE "${signal[@]}" -DHANDLER_1=1 -DCAPACITY=2 -DLARGEST=1 -DLIMIT=3
fi

# A busy mark with a barrier is right as long as nobody is frozen: so what fails below is not the model's own fault.
echo "another protocol, a busy mark that drainers wait for:"
holds "busy mark, barrier" "" "${no_signal[@]}" -DBAD_BUSY_BARRIER
fails unblocked "busy mark, barrier, frozen owner" "${no_signal[@]}" -DBAD_BUSY_BARRIER -DFREEZE
fails conserved "busy mark, no barrier" -DEFFECTS_ONLY "${no_signal[@]}" -DBAD_BUSY_MARK

echo "mistakes:"
fails taken_for_good "no membarrier" "${no_signal[@]}" -DWITHOUT_MEMBARRIER
fails unblocked "the flag falls before the mutex is released" "${signal[@]}" -DBAD_EARLY_FLAG
if [ "${1:-}" != full ]; then
    echo "        all in $SECONDS s; 'models.sh full' tries the other mistakes"
    exit "$failed"
fi
# The claims that follow from such a commit; the search goes on to the program's end.
while read -r macro name; do
    fails conserved "$name" -DEFFECTS_ONLY "${no_signal[@]}" "-D$macro"
done <<'END'
WITHOUT_MEMBARRIER    no membarrier, what follows
BAD_EARLY_MEMBARRIER  membarrier before the bounds are closed
BAD_PLAIN_MEMBARRIER  membarrier that does not abort sequences
BAD_EARLY_REOPENING   the drainer opens the bounds before it has read the value
BAD_SEPARATE_FLAG     the stop is a flag that the owner checks before its sequence
BAD_GAP               the sequence begins an instruction after rseq_cs is set
WITHOUT_RSEQ          a thread that is not registered for rseq
WITHOUT_LOCK          draining without the mutex
END
fails true_refusal "the drainer leaves its own cell full" "${no_signal[@]}" -DWITHOUT_OWN_CELL
fails conserved "the slow path leaves its own bounds open" "${signal[@]}" -DWITHOUT_CLOSING
fails conserved "the slow path opens its bounds before it is done" -DEFFECTS_ONLY "${signal[@]}" -DBAD_EARLY_OPENING
fails true_refusal "late uncharges are collected before the drain" "${signal[@]}" -DBAD_EARLY_LATE
fails unblocked "a handler takes the mutex inside its own slow path" "${signal[@]}" -DBAD_LOCK_IN_HANDLER
fails conserved "a thread gives its cell up and its handler still uses it" \
    "${signal[@]}" -DOPS_1=0 -DADOPT -DBAD_SIGNAL_AFTER_END

echo "        all in $SECONDS s"
exit "$failed"
