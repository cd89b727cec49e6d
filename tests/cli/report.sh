#!/usr/bin/env bash
# headroom report as people and programs use it: text, JSON, CSV, torn and foreign files, wrong words.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to test}" "${HEADROOM_SOURCE_DIR:?is the tree}"
headroom=$HEADROOM_BUILD_DIR/cli/headroom
[ -x "$headroom" ] || { echo "skipped: the headroom command is not built here"; exit 77; }
command -v jq >/dev/null || { echo "skipped: there is no jq"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

bad() {
    echo "report: $*"
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

says() { # out|errors TEXT
    tr '\n' ' ' <"$work/$1" | sed 's/  */ /g' | grep -qF -- "$2" || bad "its $1 do not say '$2'"
}

holds() { # EXPRESSION of jq's
    jq -e "$1" "$work/out" >/dev/null || bad "this does not hold: $1"
}

file=$work/history
"$HEADROOM_BUILD_DIR/tests/tools/history" "$file" 120

run 0 report "$file"
says out "samples of 1 process, 20"
says out "live: growth, by "
says out "the limit will be met in "
says out "levels, by samples: normal "
says out "warning, was normal, with "
[ ! -s "$work/errors" ] || bad "it complains"
grep -q '▁' "$work/out" || bad "there is no sparkline"
python3 -c 'import sys; sys.exit(max(map(len, open(sys.argv[1], encoding="utf-8").read().split("\n"))) > 80)' "$work/out" ||
    bad "lines are wider than 80 columns"

run 0 report --json "$file"
holds '.sessions == 1 and .damaged == 0 and .torn_bytes == 0 and .trend.kind == "growth"'
holds '(.records | length >= 120) and .records[0].limit_bytes == 67108864'
holds '.events[0] | .kind == "level" and .from == "normal" and .to == "warning"'
holds '.trend.time_to_limit_ns > 0 and .trend.slope_low <= .trend.slope_high'

run 0 report --csv "$file"
python3 - "$work/out" <<'PYTHON' || bad "the CSV is not right"
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1], newline="")))
assert len(rows) >= 120 and all(None not in row.values() and None not in row for row in rows)
assert int(rows[-1]["live_bytes"]) >= int(rows[0]["live_bytes"]) and rows[0]["level"] == "normal"
PYTHON

# A second process goes on in the same file.
"$HEADROOM_BUILD_DIR/tests/tools/history" "$file" 5
run 0 report --json "$file"
holds '.sessions == 2'

# Torn, damaged.
size=$(stat -c %s "$file")
truncate -s $((size - 17)) "$file"
run 0 report "$file"
says errors "the last 111 bytes are of an entry that was never finished"
printf 'x' | dd of="$file" bs=1 seek=1000 conv=notrunc status=none
run 0 report --json "$file"
holds '.damaged == 1 and .torn_bytes == 111'
says errors "1 entries are damaged"

# Files that are none.
: >"$work/empty"
run 1 report "$work/empty"
says errors "nothing was ever written to it"
run 1 report "$work/nowhere"
says errors "No such file or directory"
run 1 report "$work"
says errors "it is no regular file"
head -c 100000 /dev/urandom >"$work/foreign"
run 1 report "$work/foreign"
says errors "it is no history file"
truncate -s 8G "$work/huge" # of zeros, which take no room
run 1 report "$work/huge"
says errors "it is no history file"
head -c 64 "$file" >"$work/huge"
truncate -s 64M "$work/huge"
run 0 report "$work/huge"
says out "no samples"
says errors "entries are damaged"
if [ "$(id -u)" -ne 0 ]; then
    chmod 0 "$work/foreign"
    run 1 report "$work/foreign"
    says errors "Permission denied"
fi

# Words that are wrong.
run 2 report
says errors "a file is missing"
run 2 report "$file" "$file"
says errors "one file too many"
run 2 report --json --csv "$file"
says errors "give one of them"
run 2 report --xml "$file"
run 0 report --help
says out "--csv"
if [ -e /dev/full ]; then
    "$headroom" report "$file" >/dev/full 2>"$work/errors" && bad "a full disk is success"
    says errors "standard output"
fi

# completes WORDS: what is offered for the last of them, in one line.
completes() {
    bash --norc -c '
        source "$1/cli/completion.bash"
        read -ra COMP_WORDS <<<"$2"
        [ "${2: -1}" = " " ] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$2 COMP_POINT=${#2}
        _headroom && echo "${COMPREPLY[*]}"' bash "$HEADROOM_SOURCE_DIR" "$1"
}
[ "$(completes 'headroom r')" = report ] || bad "'headroom r' is not completed"
[ "$(completes 'headroom report --c')" = --csv ] || bad "'headroom report --c' is not completed"
cd "$work"
[ "$(completes 'headroom report hist')" = history ] || bad "files are not offered"
exit $failed
