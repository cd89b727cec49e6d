#!/usr/bin/env bash
# Reports in all formats, read by programs that are not ours: JSON by its schema, CSV by Python's reader, OpenMetrics by
# Prometheus' own parser, text by a terminal's width.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to test}" "${HEADROOM_SOURCE_DIR:?is the tree}"
report=$HEADROOM_BUILD_DIR/tests/tools/report
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

bad() {
    echo "formats: $*"
    failed=1
}

"$report" 0 >"$work/text"
"$report" 1 >"$work/json"
"$report" 2 >"$work/csv"
"$report" 3 >"$work/metrics"

python3 -c '
import sys
sys.exit(max(map(len, open(sys.argv[1], encoding="utf-8").read().split("\n"))) > 80)' "$work/text" ||
    bad "lines of text are wider than 80 columns"
LC_ALL=C.UTF-8 grep -qP '[\x00-\x09\x0b-\x1f]' "$work/text" && bad "control characters reach the terminal"
for word in 'most is held by budget "plain"' 'the last ' 'root/größer' 'and 103 more'; do
    tr '\n' ' ' <"$work/text" | sed 's/  */ /g' | grep -qF "$word" || bad "the text does not say '$word'"
done

python3 - "$work" "$HEADROOM_SOURCE_DIR/schemas/report.schema.json" <<'PYTHON' || failed=1
import csv
import json
import sys

folder, schema = sys.argv[1:]
report = json.load(open(f"{folder}/json"))
names = [budget["name"] for budget in report["budgets"]]
assert len(names) == 48 == len(set(names)), names
assert report["budgets_left_out"] == 65, report["budgets_left_out"]
assert 'root/a "quote"' in names and "root/back\\slash" in names and "root/line\nend" in names, names
assert report["history"]["seconds"] and report["history"]["events"], report["history"]
try:
    import jsonschema
except ImportError:
    print("note: there is no python3-jsonschema, so the schema was not tried")
else:
    schema = json.load(open(schema))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(report)
    del report["budgets"][0]["name"]
    if jsonschema.Draft202012Validator(schema).is_valid(report):
        sys.exit("the schema takes a budget without a name")

tables = [[]]
for row in csv.reader(open(f"{folder}/csv", newline="")):
    if row:
        tables[-1].append(row)
    else:
        tables.append([])
assert len(tables) == 3, len(tables)
for table in tables:
    assert len(table) >= 2 and len({len(row) for row in table}) == 1, table[0]
assert any(row[0] == "root/=cmd()" for row in tables[1]) and any(row[0] == 'root/a "quote"' for row in tables[1])
assert {row[0] for row in tables[2][1:]} == {"second", "minute", "hour"}
PYTHON

[ "$(tail -n 1 "$work/metrics")" = "# EOF" ] || bad "OpenMetrics does not end in # EOF"
awk '/^# TYPE/ { print $3 }' "$work/metrics" | sort | uniq -d | grep . && bad "families begin twice"
awk '!/^#/ { sub(/ [^ ]*$/, ""); print }' "$work/metrics" | sort | uniq -d | grep . && bad "series occur twice"
if command -v promtool >/dev/null; then
    # promtool lints the older format, in which a counter's family is called as its sample is.
    awk '$2 == "TYPE" && $4 == "counter" { counter[$3] = 1 } $2 == "UNIT" || $2 == "EOF" { next }
        $1 == "#" && $3 in counter { $3 = $3 "_total" } { print }' "$work/metrics" >"$work/older"
    promtool check metrics <"$work/older" || bad "promtool finds fault"
    promtool check rules "$HEADROOM_SOURCE_DIR/integrations/prometheus/alerts.yml" >"$work/rules" ||
        bad "$(cat "$work/rules")"
    (cd "$HEADROOM_SOURCE_DIR/integrations/prometheus" && promtool test rules alerts_test.yml) >"$work/rules" 2>&1 ||
        bad "$(cat "$work/rules")"
else
    echo "note: there is no promtool (Debian: prometheus), so OpenMetrics and the alerts were not tried"
fi
exit $failed
