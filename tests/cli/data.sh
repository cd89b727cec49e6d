#!/usr/bin/env bash
# The page's own arithmetic, against a recording of which the answers are known: which bytes another limit would have
# refused, and by which reason requests were.
set -euo pipefail
command -v node >/dev/null || { echo "skipped: there is no node"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "${HEADROOM_SOURCE_DIR:?}/web/src/data.js" "$work/data.mjs"
cat >"$work/test.mjs" <<'SCRIPT'
import assert from "node:assert/strict";
import { bound, readRun, refusals, within, wouldRefuse } from "./data.mjs";

const columns = ["time_ms", "level", "use_bytes", "limit_bytes", "total", "refusals", "refusals_degraded",
    "refusals_critical"];
// A second apart: use rises to 30, falls to 20, rises to 40, falls to 10; then another process begins at 0.
const rows = [
    [1000, 0, 0, 50, 0, 0, 0, 0],
    [2000, 0, 10, null, 10, 0, 0, 0],
    [3000, 1, 30, null, 30, 3, 1, 1],
    [4000, 0, 20, null, 35, 3, 1, 1],
    [5000, 3, 40, null, 60, 9, 1, 6],
    [6000, 0, 10, null, 60, 9, 1, 6],
    [6001, null, null, null, null, null, null, null],
    [7000, 0, 0, 50, 0, 0, 0, 0],
    [8000, 0, 5, 50, 5, 2, 0, 0],
];
const run = readRun({ columns, rows, events: [], binding: "live", total_counts: true }, false);
const all = within(run.x, null);

// Above 25 use rose from 25 to 30 and from 25 to 40. At most everything that was newly held around the two.
assert.deepEqual(wouldRefuse(run, 25, all), { least: 20, most: 60, share: 2 / 6, first: 3 });
// Just below the peak, at the peak, and above it.
assert.equal(wouldRefuse(run, 39, all).least, 1);
assert.deepEqual(wouldRefuse(run, 40, all), { least: 0, most: 0, share: 0, first: null });
assert.equal(wouldRefuse(run, 50, all).first, null);
// A limit of 0 refuses all that was ever newly used; the hole between two processes is no rise.
assert.equal(wouldRefuse(run, 0, all).least, 10 + 20 + 20 + 5);
// Only the selected time counts.
assert.deepEqual(wouldRefuse(run, 25, within(run.x, [4.5, 8])), { least: 15, most: 25, share: 1 / 3, first: 5 });
// Where nobody counts all that is held, there is no upper bound.
assert.equal(wouldRefuse({ ...run, total_counts: false }, 25, all).most, null);

const reasons = refusals(run), sum = list => list.reduce((all, value) => all + (value ?? 0), 0);
assert.equal(sum(reasons.critical), 6);
assert.equal(sum(reasons.degraded), 1);
assert.equal(sum(reasons.limits), 2 + 2);
assert.deepEqual(run.limit, [50, 50, 50, 50, 50, 50, 50, 50, 50]);
assert.equal(bound(run, "live"), true);
assert.equal(within(run.x, [100, 200])[0], run.x.length);
SCRIPT
node "$work/test.mjs"
