#!/usr/bin/env bash
# headroom report as people and programs use it: text, JSON, CSV, torn and foreign files, wrong words.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
# shellcheck source=SCRIPTDIR/../support/nobody.sh
source "$here/../support/nobody.sh"
trap 'rm -rf "$work"' EXIT

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
holds '.trend_is_earlier == false and .sessions == 1 and .damaged == 0 and .torn_bytes == 0 and .trend.kind == "growth"'
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

# A process that was just started: what matters is what the one before it had come to.
cp "$file" "$work/restarted"
"$HEADROOM_BUILD_DIR/tests/tools/history" "$work/restarted" 2
run 0 report "$work/restarted"
says out "before the last start, live: growth, by "
run 0 report --json "$work/restarted"
holds '.sessions == 2 and .trend_is_earlier and .trend.kind == "growth"'
"$HEADROOM_BUILD_DIR/tests/tools/history" "$work/moment" 2
run 0 report "$work/moment"
says out "too short for a trend"

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

# A file that one may not read, and one in a folder that one may not enter.
chmod 711 "$work"
why=$(nobody_copy "$headroom" "$work/reachable")
if [ -z "$why" ]; then
    headroom=$work/reachable/as_nobody
    mkdir -m 755 "$work/closed"
    cp "$file" "$work/closed/history"
    chmod 644 "$work/closed/history"
    run 0 report "$work/closed/history"
    chmod 0 "$work/closed/history"
    run 1 report "$work/closed/history"
    says errors "Permission denied"
    chmod 644 "$work/closed/history"
    chmod 0 "$work/closed"
    run 1 report "$work/closed/history"
    says errors "Permission denied"
    chmod 700 "$work/closed"
    headroom=$HEADROOM_BUILD_DIR/cli/headroom
else
    echo "note: what needs permission was not tried: $why"
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

[ "$(completes 'headroom r')" = report ] || bad "'headroom r' is not completed"
[ "$(completes 'headroom report --c')" = --csv ] || bad "'headroom report --c' is not completed"
cd "$work"
[ "$(completes 'headroom report hist')" = history ] || bad "files are not offered"
exit "$failed"
