// SPDX-License-Identifier: Apache-2.0
// Charts over time, by uPlot. They share one cursor; the main one shows all of the time and has the brush.
import uPlot from "uplot";
import { eventKinds, levels } from "./data.js";
import { element, mark, moment, size } from "./format.js";

const cursors = uPlot.sync("headroom");

export function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const eventColors = {
    level: "text", relief: "good", purge: "good", refusals: "degraded", action: "accent", "kernel kill": "critical",
};

// Bands behind the lines: where the level was not normal.
function drawBands(plot, run) {
    const { ctx, bbox } = plot, x = run.x;
    ctx.save();
    ctx.globalAlpha = 0.22;
    for (let i = 0, from = 0; i <= x.length; i++) {
        if (i < x.length && run.level[i] === run.level[from]) continue;
        const level = run.level[from];
        if (level) {
            const left = Math.max(plot.valToPos(x[from], "x", true), bbox.left);
            const right = Math.min(plot.valToPos(x[Math.min(i, x.length - 1)], "x", true), bbox.left + bbox.width);
            ctx.fillStyle = color(levels[level]);
            if (right >= left) ctx.fillRect(left, bbox.top, Math.max(right - left, 1), bbox.height);
        }
        from = i;
    }
    ctx.restore();
}

// Marks at the upper edge, with a line down for what ends a program.
function drawEvents(plot, run) {
    const { ctx, bbox } = plot, unit = devicePixelRatio;
    ctx.save();
    for (const event of run.events) {
        const at = plot.valToPos(event.x, "x", true);
        if (at < bbox.left || at > bbox.left + bbox.width) continue;
        ctx.fillStyle = ctx.strokeStyle = color(eventColors[event.kind] ?? "text");
        ctx.beginPath();
        ctx.moveTo(at - 4 * unit, bbox.top);
        ctx.lineTo(at + 4 * unit, bbox.top);
        ctx.lineTo(at, bbox.top + 8 * unit);
        ctx.fill();
        if (event.kind !== "action" && event.kind !== "kernel kill") continue;
        ctx.globalAlpha = 0.7;
        ctx.fillRect(at - unit / 2, bbox.top, unit, bbox.height);
        ctx.globalAlpha = 1;
    }
    ctx.restore();
}

export function eventText(event) {
    const name = eventKinds[event.kind] ?? event.kind;
    if (event.kind === "level") return `${name}: ${event.from} → ${event.to}`;
    if (event.kind === "action") return `${name}: ${event.budget}`;
    if (event.kind === "kernel kill") return `${name}: ${event.kills}`;
    if (event.kind === "would relieve") return `${size(event.freed_bytes)} ${name}`;
    if (event.kind === "refusals" || event.kind === "would refuse")
        return `${event.refused_by_limit + event.refused_by_level} ${name}` +
            (event.budget ? ` of budget "${event.budget}"` : "");
    return `${name}: ${size(event.freed_bytes)} given back`;
}

// Seconds from one mark of the x axis to the next. uPlot's own go from 1 to 5: a narrow chart would have no mark.
const steps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800,
    3600, 7200, 10800, 21600, 43200, ...[1, 2, 5, 10, 30, 60, 365].map(days => days * 86400)];

function axes(run, small) {
    const grid = { stroke: color("grid"), width: 1 };
    return [
        {
            stroke: color("muted"), grid, ticks: grid, size: 30, space: 60, incrs: steps,
            values: (plot, splits, axis, space, step) => splits.map(value => mark(value, step, run.relative)),
        },
        {
            stroke: color("muted"), grid, ticks: grid, size: 74, space: small ? 26 : 40,
            values: (plot, splits) =>
                splits.map(value => (value < 0 ? "" : small === "count" ? String(value) : size(value))),
            incrs: small === "count" ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 5e4, 1e5, 1e6, 1e7]
                : Array.from({ length: 50 }, (_, power) => 2 ** power),
        },
    ];
}

function top(values, ...others) {
    let most = 0;
    for (const list of [values, ...others]) for (const value of list) if (value != null && value > most) most = value;
    return most * 1.08 || 1;
}

// One chart of a part of the time. `lines` is a list of {name, values, color, fill, dash, step}. `onCursor` gets the
// row under the cursor.
export function chart(box, run, lines, range, options) {
    const plot = new uPlot({
        width: Math.max(box.clientWidth, 200),
        height: options.height,
        legend: { show: false },
        ms: 1e-3,
        tzDate: seconds => new Date(seconds * 1000),
        padding: [10, 28, 0, 0], // half of the last mark's text
        cursor: {
            drag: { x: false, y: false },
            points: { size: 7 },
            sync: { key: cursors.key, scales: ["x", null] },
            y: false,
        },
        scales: {
            x: { time: !run.relative, min: range[0], max: range[1] }, // at once: no chart is drawn twice
            y: { range: [0, options.top ?? top(...lines.map(line => line.values))] },
        },
        axes: axes(run, options.small),
        series: [{}, ...lines.map(line => ({
            label: line.name, stroke: color(line.color), width: line.width ?? 1.5, dash: line.dash,
            spanGaps: line.gaps ?? false,
            fill: line.fill ? `color-mix(in srgb, ${color(line.color)} 18%, transparent)` : undefined,
            paths: line.step ? uPlot.paths.stepped({ align: 1 }) : undefined,
            points: { show: run.x.length < 3, size: 5 },
        }))],
        hooks: {
            drawClear: options.main ? [plot => drawBands(plot, run)] : [],
            draw: options.main ? [plot => drawEvents(plot, run)] : options.draw ? [options.draw] : [],
            setCursor: options.onCursor ? [plot => options.onCursor(plot)] : [],
        },
    }, [run.x, ...lines.map(line => line.values)], box);
    cursors.sub(plot);
    plot.root.setAttribute("aria-hidden", "true");
    plot.range = range;
    return plot;
}

// Shows another part of the time.
export function zoom(plot, range) {
    if (plot.range[0] === range[0] && plot.range[1] === range[1]) return;
    plot.range = range;
    plot.setScale("x", { min: range[0], max: range[1] });
}

export function forget(plot) {
    cursors.unsub(plot);
    plot.destroy();
}

// The brush: a part of the time that is drawn with the pointer, moved, and sized at its edges. By the keyboard the
// cursor is moved, and Shift takes the time along.
export function brush(plot, box, run, current, change, showCursor) {
    const over = plot.over, veil = element("div", { class: "brush" });
    over.append(veil);
    let drag = null, caret = run.x.length - 1, anchor = null;

    const show = () => {
        const range = current();
        veil.hidden = !range;
        if (!range) return;
        const left = plot.valToPos(range[0], "x"), right = plot.valToPos(range[1], "x");
        veil.style.left = `${Math.max(left, 0)}px`;
        veil.style.width = `${Math.max(Math.min(right, over.clientWidth) - Math.max(left, 0), 2)}px`;
    };
    const clamp = value => Math.min(Math.max(value, plot.scales.x.min), plot.scales.x.max);
    const place = event => clamp(plot.posToVal(event.clientX - over.getBoundingClientRect().left, "x"));

    over.addEventListener("pointerdown", event => {
        if (event.button !== 0) return;
        const range = current(), at = place(event), near = plot.posToVal(8, "x") - plot.posToVal(0, "x");
        drag = { from: at, moved: false };
        if (range && Math.abs(at - range[0]) < near) drag = { from: range[1], moved: false };
        else if (range && Math.abs(at - range[1]) < near) drag = { from: range[0], moved: false };
        else if (range && at > range[0] && at < range[1]) drag = { grip: at, range: [...range], moved: false };
        over.setPointerCapture(event.pointerId);
    });
    over.addEventListener("pointermove", event => {
        if (!drag) return;
        const at = place(event);
        drag.moved ||= Math.abs(plot.valToPos(at, "x") - plot.valToPos(drag.grip ?? drag.from, "x")) > 3;
        if (!drag.moved) return;
        if (drag.range) {
            const step = at - drag.grip;
            change([clamp(drag.range[0] + step), clamp(drag.range[1] + step)]);
        } else {
            change([Math.min(drag.from, at), Math.max(drag.from, at)]);
        }
    });
    const release = () => (drag = null);
    over.addEventListener("pointerup", release);
    over.addEventListener("pointercancel", release);
    over.addEventListener("dblclick", () => change(null));

    const move = (to, extend) => {
        if (!run.x.length) return;
        const before = caret;
        caret = Math.min(Math.max(to, 0), run.x.length - 1);
        if (extend) {
            anchor ??= before;
            const [a, b] = [run.x[anchor], run.x[caret]];
            change(a === b ? null : [Math.min(a, b), Math.max(a, b)]);
        } else {
            anchor = null;
        }
        showCursor(caret);
    };
    box.addEventListener("keydown", event => {
        const page = Math.max(1, Math.round(run.x.length / 20));
        const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -page, PageDown: page };
        if (event.key in steps) move(caret + steps[event.key], event.shiftKey);
        else if (event.key === "Home") move(0, event.shiftKey);
        else if (event.key === "End") move(run.x.length - 1, event.shiftKey);
        else if (event.key === "Escape") change(null);
        else return;
        event.preventDefault();
    });
    return show;
}

// The row under the cursor as lines of text, with the events beside it.
export function cursorText(run, index, lines) {
    const width = (run.end - run.x[0]) / 100;
    const near = run.events.filter(event => Math.abs(event.x - run.x[index]) <= width).slice(-4);
    return [
        `${moment(run.x[index], run.relative)} · ${levels[run.level[index]] ?? "no sample"}`,
        ...lines.filter(line => line.values[index] != null).map(line => `${line.name}: ${size(line.values[index])}`),
        ...near.map(event => `▾ ${eventText(event)}`),
    ];
}

export function onTheme(change) {
    dark.addEventListener("change", change);
}
