// SPDX-License-Identifier: Apache-2.0
// The data of a page: rows as C wrote them become a column each, by name, with one x for all.

export const levels = ["normal", "warning", "degraded", "critical"];

// The ledgers that have a line of their own, and what they are called.
export const ledgers = [
    ["live", "budget: held"],
    ["rss", "resident set"],
    ["cgroup", "cgroup, without page cache"],
    ["anonymous", "cgroup: anonymous, shared, locked"],
    ["kernel", "cgroup: kernel and sockets"],
    ["cache", "cgroup: page cache"],
];

export const eventKinds = {
    level: "change of level",
    relief: "relief",
    purge: "purge",
    refusals: "refusals",
    action: "action of headroom run",
    "kernel kill": "kill by the kernel",
    "would refuse": "would have been refused (only observed)",
    "would relieve": "would have been given back (only observed)",
};

function toColumns(run) {
    const columns = {};
    run.columns.forEach((name, place) => {
        columns[name] = new Array(run.rows.length);
        for (let i = 0; i < run.rows.length; i++) columns[name][i] = run.rows[i][place];
    });
    return columns;
}

// Fills a hole with what stood before it: limits and levels hold until they change.
function carry(values) {
    let last = values.find(value => value != null) ?? null;
    return values.map(value => (value == null ? last : (last = value)));
}

// A count of kills that has not grown says that somebody looked, and is no kill.
function withoutFalseKills(events) {
    let kills = 0;
    return events.filter(event => {
        const before = kills;
        if (event.kind === "kernel kill") kills = event.kills;
        return event.kind !== "kernel kill" || kills > before;
    });
}

export function readRun(run, relative) {
    const columns = toColumns(run);
    const begin = columns.time_ms.length ? columns.time_ms[0] / 1000 : 0;
    const shift = relative ? begin : 0;
    const x = columns.time_ms.map(value => value / 1000 - shift);
    return {
        ...run,
        begin,
        shift,
        relative,
        x,
        columns,
        level: columns.level,
        limit: carry(columns.limit_bytes),
        events: withoutFalseKills(run.events).map(event => ({ ...event, x: event.time_ms / 1000 - shift })),
        end: x.length ? x[x.length - 1] : 0,
    };
}

// The first and last index whose x lies in a range, which is null for all.
export function within(x, range) {
    if (!range) return [0, x.length - 1];
    let from = x.findIndex(value => value >= range[0]);
    if (from < 0) from = x.length;
    let to = x.length - 1;
    while (to >= 0 && x[to] > range[1]) to--;
    return [from, to];
}

// Did a ledger ever come near its limit, or does it decide?
export function bound(run, name) {
    if (name === run.binding) return true;
    const values = run.columns[name];
    return values.some((value, i) => value != null && run.limit[i] && value > run.limit[i] * 0.75);
}

// How often each reason refused, between the rows: counters that only grow, but begin anew with a process.
export function refusals(run) {
    const steps = values => values.map((value, i) => {
        const before = i ? values[i - 1] : null;
        if (value == null) return null;
        return before == null || value < before ? 0 : value - before;
    });
    const all = steps(run.columns.refusals);
    const degraded = steps(run.columns.refusals_degraded), critical = steps(run.columns.refusals_critical);
    const byLevel = i => (degraded[i] ?? 0) + (critical[i] ?? 0);
    const limits = all.map((value, i) => (value == null ? null : Math.max(0, value - byLevel(i))));
    return { limits, degraded, critical };
}

// The bytes that another limit would have refused in rows `from` to `to`. At least: how far use rose above it, rise by
// rise. At most: all bytes that were newly held between samples of which one was above it; null where that was not
// counted.
export function wouldRefuse(run, limit, [from, to]) {
    const use = run.columns.use_bytes, total = run.columns.total, x = run.x;
    let least = 0, most = 0, above = 0, first = null, counted = true, span = 0;
    for (let i = Math.max(from, 1); i <= to; i++) {
        if (use[i] == null || use[i - 1] == null) continue;
        const isAbove = use[i] > limit;
        span += x[i] - x[i - 1];
        if (isAbove) {
            above += x[i] - x[i - 1];
            first ??= x[i];
            least += Math.max(0, use[i] - Math.max(use[i - 1], limit));
        }
        const near = isAbove || use[i - 1] > limit || (use[i + 1] ?? 0) > limit || (use[i - 2] ?? 0) > limit;
        if (!near) continue;
        if (total[i] == null || total[i - 1] == null) counted = false;
        else most += Math.max(0, total[i] - total[i - 1]);
    }
    most = counted && run.total_counts ? Math.max(most, least) : null;
    return { least, most, share: span ? above / span : 0, first };
}
