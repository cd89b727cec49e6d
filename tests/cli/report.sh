#!/usr/bin/env bash
# headroom report as people and programs use it: text, JSON, CSV, torn and foreign files, wrong words.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
# shellcheck source=SCRIPTDIR/../support/nobody.sh
source "$here/../support/nobody.sh"
trap 'rm -rf "$work"' EXIT

export LC_ALL=C.UTF-8
unset COLUMNS
file=$work/history
"$HEADROOM_BUILD_DIR/tests/tools/history" "$file" 120

run 0 report "$file"
says out "samples of 1 process, 20"
says out "live: growth, by "
says out "the limit will be reached in "
says out "levels, by samples: normal "
says out "warning, was normal, with "
[ ! -s "$work/errors" ] || bad "it complains"
grep -q '▁' "$work/out" || bad "there is no sparkline"
python3 -c '
import sys
sys.exit(max(map(len, open(sys.argv[1], encoding="utf-8").read().split("\n"))) > 80)' "$work/out" ||
    bad "lines are wider than 80 columns"

# The bars take the width there is.
for columns in 52 60 120 1000; do
    COLUMNS=$columns run 0 report "$file"
    python3 - "$work/out" "$columns" <<'PYTHON' || bad "the bars do not fit $columns columns"
import re, sys
lines = open(sys.argv[1], encoding="utf-8").read().split("\n")
bars = [line for line in lines if "\u2581" in line]
assert bars and all(len(line) <= int(sys.argv[2]) for line in bars)
# As many as fit, or one for each sample.
samples = int(re.match("[0-9]+", lines[0])[0])
assert all(len(re.findall("[\u2581-\u2588]", line)) == min(samples, int(sys.argv[2]) - 44, 256) for line in bars)
PYTHON
done
if command -v script >/dev/null; then
    script -qec "stty cols 60; '$headroom' report '$file'" /dev/null >"$work/out" </dev/null
    ! tr -d '\r' <"$work/out" | grep ▁ | grep -E '.{61}' || bad "the bars are wider than their terminal"
fi
LC_ALL=C run 0 report "$file"
! grep -aP '[^\x00-\x7f]' "$work/out" || bad "there is more than ASCII in the C locale"
says out "live             ."
says out "#"

run 0 report --json "$file"
holds '.trend_is_earlier == false and .sessions == 1 and .damaged == 0 and .torn_bytes == 0 and .trend.kind == "growth"'
holds '(.records | length >= 120) and .records[0].limit_bytes == 67108864'
holds '.events[0] | .kind == "level" and .from == "normal" and .to == "warning"'
holds '.trend.time_to_limit_ns > 0 and .trend.slope_low <= .trend.slope_high'

# The man page names all of it.
page=$(tr -d '"' <"$HEADROOM_SOURCE_DIR/docs/man/headroom-report.1" | tr ' ,' '\n')
for name in $(jq -r '[paths | map(strings)[]] | unique[]' "$work/out"); do
    grep -qx "$name" <<<"$page" || bad "the man page does not name $name"
done

run 0 report --csv "$file"
python3 - "$work/out" <<'PYTHON' || bad "the CSV is not right"
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1], newline="")))
assert len(rows) >= 120 and all(None not in row.values() and None not in row for row in rows)
assert int(rows[-1]["live_bytes"]) >= int(rows[0]["live_bytes"]) and rows[0]["level"] == "normal"
PYTHON

# Whose figures these are, where the file says it.
history=$HEADROOM_BUILD_DIR/tests/tools/history
run 0 report "$file"
flat=$(tr '\n' ' ' <"$work/out" | sed 's/  */ /g')
[[ $flat == *" command: $history $file 120 limit: "* ]] || bad "it does not say which command wrote the file"
grep -qx "limit: 64.0 MiB by limit_bytes" "$work/out" || bad "it does not say where the limit comes from"
run 0 report --json "$file"
holds ".command == \"$history $file 120\" and .limit_source == \"limit_bytes\""
for version in 1 2 3; do
    run 0 report --json "$here/../fixtures/history/version$version"
    holds '.command == null and .limit_source == null and .unknown == 0 and (.records | length) >= 12'
done

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

# Few and many of what is counted.
head -c 256 "$here/../fixtures/history/version3" >"$work/one" # the head and an entry
run 0 report "$work/one"
says out "1 sample of 1 process, 20"
run 0 report "$file"
grep -qx events "$work/out" || bad "the only event is not headed 'events'"
for _ in {1..11}; do
    "$HEADROOM_BUILD_DIR/tests/tools/history" "$work/eventful" 120
done
run 0 report "$work/eventful"
says out "the last 10 of 11 events"

# Refusals: in words, in all forms; a file of the first version knows nothing of them.
"$HEADROOM_BUILD_DIR/tests/tools/history" "$work/refused" 10 1234
run 0 report "$work/refused"
flat=$(tr '\n' ' ' <"$work/out" | sed 's/  */ /g')
[[ $flat == *"1,234 requests were refused between 20"*" UTC: 1,234 by limits; by budget \"root\" 1,234"* ]] ||
    bad "it does not say what was refused: $flat"
says out 'budget "root": 1234 refused by its limit within '
run 0 report --json "$work/refused"
holds '.records[-1].refusals == 1234 and .records[0].refusals == 0 and .records[-1].decided_by != null'
holds '[.events[] | select(.kind == "refusals")]
    | length == 1 and .[0].refused_by_limit == 1234 and .[0].budget == "root"'
run 0 report --csv "$work/refused"
says out "refusals_critical,would_have_refused,would_have_refused_degraded,would_have_refused_critical,use,decided_by"
run 0 report "$here/../fixtures/history/version1"
says out "20 samples of 2 processes"
if grep -q refused "$work/out"; then bad "it knows more than the file"; fi
run 0 report --json "$here/../fixtures/history/version1"
holds '.records[0].refusals == null and .records[0].decided_by == null'

# A second process goes on in the same file.
"$HEADROOM_BUILD_DIR/tests/tools/history" "$file" 5
run 0 report --json "$file"
holds '.sessions == 2'

# Torn, damaged.
size=$(stat -c %s "$file")
truncate -s $((size - 17)) "$file"
run 0 report "$file"
says errors "the last 175 bytes are of an entry that was never finished"
printf 'x' | dd of="$file" bs=1 seek=1000 conv=notrunc status=none
run 0 report --json "$file"
holds '.damaged == 1 and .torn_bytes == 175'
says errors "1 entries are damaged"

# Files that are none.
: >"$work/empty"
run 1 report "$work/empty"
says errors "nothing was ever written to it"
for size in 64 128; do # the head, and half an entry
    head -c $size "$file" >"$work/bodiless"
    for form in --json --csv ''; do
        # shellcheck disable=SC2086 # none, or one
        run 1 report $form "$work/bodiless"
        says errors "nothing was ever written to it"
        [ ! -s "$work/out" ] || bad "it shows what is not there"
    done
done
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

[ "$(completes 'headroom re')" = report ] || bad "'headroom re' is not completed"
[ "$(completes 'headroom report --c')" = --csv ] || bad "'headroom report --c' is not completed"
cd "$work"
[ "$(completes 'headroom report hist')" = history ] || bad "files are not offered"
exit "$failed"
