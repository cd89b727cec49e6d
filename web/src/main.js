// SPDX-License-Identifier: Apache-2.0
// The page: what it shows, from top to bottom, and what moves it. Data come from the element #data, and live from
// history.json beside the page.
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { brush, chart, color, cursorText, eventText, forget, onTheme, zoom } from "./charts.js";
import { bound, ledgers, levels, readRun, refusals, within, wouldRefuse } from "./data.js";
import { count, date, element, moment, share, size, time } from "./format.js";
import { drawTreemap } from "./treemap.js";

const page = document.getElementById("page");
const state = { range: readHash(), search: "", limits: [], open: new Set(), runs: [], views: [] };
let data = JSON.parse(document.getElementById("data").textContent);

// ── the part of the time that is looked at: in the URL, so that it can be sent to somebody ───────────────────────────

function readHash() {
    const found = /(?:^#|&)t=(-?[\d.]+)_(-?[\d.]+)/.exec(location.hash);
    const range = found && [Number(found[1]), Number(found[2])];
    return range && range[0] < range[1] ? range : null;
}

function writeHash() {
    const text = state.range ? `#t=${state.range.map(x => +x.toFixed(3)).join("_")}` : "#";
    history.replaceState(null, "", text);
}

function setRange(range) {
    state.range = range && range[1] > range[0] ? range : null;
    writeHash();
    for (const view of state.views) view.follow();
}

// ── 1, 2: the verdict and five figures ──────────────────────────────────────────────────────────────────────────────

function verdict(run) {
    const recorded = !data.live && !run.is_guard, killed = run.kernel_kills > 0;
    // A recorded run is judged by its highest level: at the end of a program that was ended the level is normal.
    const reached = run.events.map(({ to }) => levels.indexOf(to));
    const highest = Math.max(levels.indexOf(run.verdict_level), ...run.level, ...reached);
    const level = recorded ? levels[highest] : run.verdict_level;
    const action = run.events.filter(event => event.kind === "action").pop();
    const ended = recorded && action ? ` headroom run: ${action.budget} at ${moment(action.x, run.relative)}.` : "";
    const [soonest, latest] = [run.full_low_ns, run.full_high_ns];
    const between = soonest >= 0 && latest >= 0 ? ` (${time(soonest / 1e9)} to ${time(latest / 1e9)})` : "";
    const full = run.full_in_ns >= 0 && !killed && !ended ? `, full in ${time(run.full_in_ns / 1e9)}${between}` : "";
    const limit = run.limit_bytes == null ? "no limit is known"
        : `limit ${size(run.limit_bytes)}${run.limit_source ? ` by ${run.limit_source}` : ""}${full}`;
    const word = killed ? "killed by the kernel" : level;
    return element("p", { class: `verdict ${killed ? "critical" : level}` },
        element("strong", { class: "level" }, word), " ",
        element("span", {}, data.live || run.is_guard
            ? `${size(run.use_bytes)} used (${share(run.use_bytes, run.limit_bytes)}); ${limit}.`
            : `${killed ? "" : "at most, "}${size(run.peak_bytes)} used (${share(run.peak_bytes, run.limit_bytes)}); ` +
                `at the end ${run.verdict_level}, ${size(run.use_bytes)}; ${limit}.${ended}`),
        run.explanation && element("small", {}, run.explanation));
}

function figures(run) {
    const list = [
        ["use and limit", `${size(run.use_bytes)} of ${size(run.limit_bytes)}`],
        ["peak", size(run.peak_bytes)],
        ["refused", count(run.refusals)],
        ["given back", run.relieved_bytes == null ? "–" : size(run.relieved_bytes)],
        ["kernel kills", run.kernel_kills == null ? "not seen from here" : count(run.kernel_kills)],
    ];
    return element("dl", { class: "figures" }, ...list.map(([name, value]) =>
        element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

// ── tables: the same as a chart, for those who read numbers ─────────────────────────────────────────────────────────

const TABLE_ROWS = 200;

function table(key, heads, rowsOf) {
    const box = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "table" });
    const details = element("details", { class: "table", open: state.open.has(key) },
        element("summary", {}, "Table"), box);
    const fill = () => {
        if (!details.open) return;
        const rows = rowsOf(), step = Math.max(1, Math.ceil(rows.length / TABLE_ROWS));
        box.textContent = "";
        box.append(element("table", {},
            element("caption", {}, step > 1
                ? `every ${step}th of ${count(rows.length)} rows: select less time to see them all` : ""),
            element("thead", {}, element("tr", {}, ...heads.map(head => element("th", { scope: "col" }, head)))),
            element("tbody", {}, ...rows.filter((_, i) => i % step === 0).map(row =>
                element("tr", {}, ...row.map(cell => element("td", {}, cell ?? "–")))))));
    };
    details.addEventListener("toggle", () => {
        details.open ? state.open.add(key) : state.open.delete(key);
        fill();
    });
    return { details, fill };
}

function when(run, x) {
    return run.relative ? moment(x, true) : date(x);
}

function timeTable(key, run, lines, write = size) {
    return table(key, ["time", ...lines.map(line => line.name)], () => {
        const [from, to] = within(run.x, state.range), rows = [];
        for (let i = from; i <= to; i++)
            if (run.x[i] != null)
                rows.push([when(run, run.x[i]),
                    ...lines.map(line => (line.values[i] == null ? "–" : write(line.values[i], line)))]);
        return rows;
    });
}

function part(title, key, ...children) {
    return element("section", { class: "part", id: key, "aria-label": title }, element("h2", {}, title), ...children);
}

// ── 3, 4: the main time line and its brush ───────────────────────────────────────────────────────────────────────────

function mainLine(run, place, view) {
    const lines = [
        { name: "use", values: run.columns.use_bytes, color: "use", fill: true },
        { name: "limit", values: run.limit, color: "limit", dash: [6, 4], step: true },
    ];
    const detail = ledgers.map(([name, text]) => ({ name: text, values: run.columns[name] }));
    const box = element("div", { class: "chart main", tabindex: 0, role: "application",
        "aria-label": "Time line of use and limit. Arrow keys move the cursor, with Shift they select time, " +
            "Escape selects all." });
    const tip = element("div", { class: "tip", role: "status", hidden: true });
    const hint = element("p", { class: "hint" });
    const names = table(`main-${place}`, ["time", "level", "use", "limit"], () => {
        const [from, to] = within(run.x, state.range), rows = [];
        for (let i = from; i <= to; i++)
            rows.push([when(run, run.x[i]), levels[run.level[i]], size(run.columns.use_bytes[i]), size(run.limit[i])]);
        return rows;
    });
    const events = table(`events-${place}`, ["time", "event"], () =>
        run.events.filter(event => inRange(event.x) && matches(eventText(event)))
            .map(event => [when(run, event.x), eventText(event)]));
    const older = run.events_left_out ? `, ${run.events_left_out} older ones left out` : "";
    events.details.firstChild.textContent = `Events (${run.events.length}${older})`;
    let plot, show;
    const point = index => plot.setCursor({ left: plot.valToPos(run.x[index], "x"), top: 20 });
    const onCursor = plot => {
        const index = plot.cursor.idx, left = plot.cursor.left;
        tip.hidden = index == null || left < 0;
        if (tip.hidden) return;
        tip.textContent = "";
        tip.append(...cursorText(run, index, [...lines, ...detail]).map(text => element("div", {}, text)));
        const x = left + plot.over.offsetLeft, width = box.clientWidth;
        tip.style.left = x < width / 2 ? `${Math.min(x + 14, width - tip.offsetWidth)}px` : "auto";
        tip.style.right = x < width / 2 ? "auto" : `${Math.max(width - x + 14, 0)}px`;
    };
    view.draw.push(() => {
        if (plot) forget(plot);
        plot = chart(box, run, lines, run.span, { height: view.narrow() ? 200 : 280, main: true, onCursor });
        box.append(tip);
        show = brush(plot, box, run, () => state.range, setRange, point);
        show();
    });
    view.moved.push(() => {
        show?.();
        hint.textContent = state.range
            ? `${moment(state.range[0], run.relative)} to ${moment(state.range[1], run.relative)} is selected: ` +
                "everything below is of that time. Escape or a double click selects all."
            : "Drag across the time line to select a part of it: everything below follows.";
        names.fill();
        events.fill();
    });
    view.sized.push(() => plot);
    const legend = element("p", { class: "legend" }, key("use", `use (${useOf(run)})`), key("limit", "limit"),
        ...levels.slice(1).map(level => key(level, level, true)), "▾ events");
    return part("Use and limit", `main-${place}`, legend, box, hint, names.details, events.details);
}

function key(name, text, block) {
    const swatch = element("i", { class: block ? "block" : "line" });
    swatch.style.background = `var(--${name})`;
    return element("span", { class: "key" }, swatch, text);
}

// The part of the time that is shown below the main line.
function selected(run) {
    const [from, to] = state.range ? within(run.x, state.range) : [0, -1];
    return from <= to && run.x.length ? state.range : run.span;
}

function inRange(x) {
    return !state.range || (x >= state.range[0] && x <= state.range[1]);
}

function matches(text) {
    return state.search === "" || text.toLowerCase().includes(state.search);
}

// Of a watched program nobody charges anything: then the use is that of its processes.
function useOf(run) {
    if (run.binding === "cgroup") return "of the cgroup";
    return run.total_counts ? "bytes that are held" : "of the program's processes";
}

// ── 5: a small line for each ledger ───────────────────────────────────────────────────────────────────────────────

function smallLine(run, view, key, line, options = {}) {
    const box = element("div", { class: "chart small" });
    const reading = element("output", { class: "reading" });
    const figure = element("figure", { class: "ledger", "data-name": line.name },
        element("figcaption", {}, line.name, reading), box);
    const list = timeTable(key, run, [line]);
    figure.append(list.details);
    let plot;
    const last = line.values.reduce((kept, value) => value ?? kept, null);
    view.draw.push(() => {
        if (plot) forget(plot);
        plot = null;
        if (figure.closest("details:not([open])")) return;
        plot = chart(box, run, [{ ...line, fill: true, color: options.color ?? "use" }], selected(run), {
            height: options.height ?? 92, small: true,
            onCursor: ({ cursor: { idx } }) => (reading.textContent = size(idx == null ? last : line.values[idx])),
        });
    });
    view.moved.push(() => {
        if (plot) zoom(plot, selected(run));
        list.fill();
        figure.hidden = !matches(line.name);
    });
    view.sized.push(() => plot);
    reading.textContent = size(last);
    return figure;
}

// The ledger that is the use has the first line, and no other.
function ledgerLines(run, place, view) {
    const present = ledgers.filter(([name]) => name !== run.binding && run.columns[name].some(value => value != null));
    const make = ([name, text]) =>
        smallLine(run, view, `ledger-${place}-${name}`, { name: text, values: run.columns[name] });
    const near = present.filter(([name]) => bound(run, name)), far = present.filter(([name]) => !bound(run, name));
    const folded = element("details", { class: "folded", open: state.open.has(`folded-${place}`) },
        element("summary", {}, `${far.length} ${far.length === 1 ? "ledger" : "ledgers"} that never bound`),
        ...far.map(make));
    folded.addEventListener("toggle", () => {
        folded.open ? state.open.add(`folded-${place}`) : state.open.delete(`folded-${place}`);
        view.redraw();
    });
    return part("Ledgers", `ledgers-${place}`,
        smallLine(run, view, `use-${place}`,
            { name: `use in the selected time (${useOf(run)})`, values: run.columns.use_bytes }, { height: 120 }),
        ...near.map(make), far.length ? folded : null);
}

// ── 6: budgets, pools and caches ───────────────────────────────────────────────────────────────────────────────────

const isBytes = name => /(^|_)bytes$/.test(name);

function unit(name, value) {
    if (value == null) return "–";
    return isBytes(name) ? size(value) : name.endsWith("_ns") ? time(value / 1e9) : count(value);
}

const title = name => name.replace(/_(bytes|ns)$/, "").replaceAll("_", " ");

// A table of budgets, pools or caches: those whose name is searched for.
function nameTable(key, list, names) {
    return table(key, ["name", ...names.map(title)], () =>
        list.filter(row => matches(row.name)).map(row => [row.name, ...names.map(name => unit(name, row[name]))]));
}

function things(run, noun, place, view) {
    const list = run[noun];
    if (!list || !list.length) return null;
    const names = Object.keys(list[0]).filter(name => name !== "name");
    const shown = nameTable(`${noun}-${place}`, list, names);
    view.moved.push(shown.fill);
    const [first, ...rest] = names.filter(isBytes);
    const bars = element("ul", { class: "things" });
    view.moved.push(() => {
        bars.textContent = "";
        const most = Math.max(...list.map(row => row[first] ?? 0), 1);
        for (const row of list.filter(row => matches(row.name))) {
            const bar = element("i", { class: "bar" });
            bar.style.width = `${(row[first] ?? 0) / most * 100}%`;
            const more = rest.slice(0, 2).map(name => `${title(name)} ${size(row[name])}`).join(", ");
            bars.append(element("li", {}, element("span", {}, row.name), element("b", {}, size(row[first])), bar,
                more && element("small", {}, more)));
        }
    });
    const left = run[`${noun}_left_out`];
    return element("div", { class: "group" }, element("h3", {}, noun[0].toUpperCase() + noun.slice(1)), bars,
        left ? element("p", { class: "hint" }, `${left} smaller ones are left out`) : null, shown.details);
}

function budgets(run, place, view) {
    const list = run.budgets ?? [];
    const others = ["pools", "caches"].map(noun => things(run, noun, place, view)).filter(Boolean);
    if (!list.length && !others.length)
        return part("Budgets", `budgets-${place}`, element("p", { class: "hint" },
            run.is_guard ? "There is no budget." : "These samples have no budgets in them: " +
                "a program that uses headroom writes them to its history file."));
    const box = element("div", { class: "treemap" });
    const names = ["used_bytes", "limit_bytes", "peak_bytes", "left_bytes", "refused", "refused_by_level"];
    const rows = nameTable(`budgets-${place}`, list, names);
    view.late.push(() => drawTreemap(box, list, state.search));
    view.moved.push(rows.fill);
    const at = run.census_ms == null ? run.end : run.census_ms / 1000 - run.shift;
    const left = run.budgets_left_out ? ` ${run.budgets_left_out} smaller ones are left out.` : "";
    return part("Budgets, pools and caches", `budgets-${place}`,
        element("p", { class: "hint" }, `At ${moment(at, run.relative)}; an area is the use of a budget.${left}`),
        element("div", { class: "beside" }, element("div", {}, box, rows.details),
            others.length ? element("div", {}, ...others) : null));
}

// ── 7: refusals, and those of another limit ────────────────────────────────────────────────────────────────────────

function refused(run, place, view) {
    const reasons = refusals(run);
    const lines = [
        { name: "by limits", values: reasons.limits, color: "accent", step: true },
        { name: "degraded", values: reasons.degraded, color: "degraded", step: true },
        { name: "critical", values: reasons.critical, color: "critical", step: true },
    ];
    const any = lines.some(line => line.values.some(value => value > 0));
    const box = element("div", { class: "chart small" });
    const rows = timeTable(`refused-${place}`, run, lines, value => count(value));
    const sum = element("p", { class: "hint" });
    let plot;
    if (any)
        view.draw.push(() => {
            if (plot) forget(plot);
            plot = chart(box, run, lines, selected(run), { height: 110, small: "count" });
        });
    view.sized.push(() => plot);
    view.moved.push(() => {
        const [from, to] = within(run.x, state.range);
        const totals = lines.map(line => line.values.slice(from, to + 1).reduce((all, value) => all + (value ?? 0), 0));
        const all = totals.reduce((a, b) => a + b, 0);
        const known = run.columns.refusals.some(value => value != null);
        const each = lines.map((line, i) => `${count(totals[i])} ${line.name}`).join(", ");
        sum.textContent = !known ? "Refusals were not counted here."
            : all ? `${count(all)} refused: ${each}.` : "Nothing was refused.";
        if (plot) zoom(plot, selected(run));
        rows.fill();
    });
    const legend = element("p", { class: "legend" }, ...lines.map(line => key(line.color, line.name)));
    return part("Refused", `refused-${place}`, sum, any ? legend : null, any ? box : null,
        any ? rows.details : null, otherLimit(run, place, view));
}

function otherLimit(run, place, view) {
    const known = run.columns.use_bytes.filter(value => value != null);
    if (!known.length) return null;
    const most = Math.max(run.limit_bytes ?? 0, ...known) * 1.05;
    const step = Math.max(1, Math.round(most / 1000));
    state.limits[place] ??= Math.round((run.limit_bytes ?? most) * 0.8);
    const box = element("div", { class: "chart limit" });
    const slider = element("input", { type: "range", min: 0, max: Math.ceil(most), step, value: state.limits[place],
        "aria-label": "another limit" });
    const said = element("output", { class: "would" });
    const lines = [{ name: "use", values: run.columns.use_bytes, color: "use", fill: true }];
    let plot;
    const draw = plot => {
        const y = plot.valToPos(state.limits[place], "y", true), { ctx, bbox } = plot;
        ctx.save();
        ctx.strokeStyle = ctx.fillStyle = color("accent");
        ctx.lineWidth = 2 * devicePixelRatio;
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
        ctx.beginPath();
        ctx.arc(bbox.left + bbox.width - 8 * devicePixelRatio, y, 6 * devicePixelRatio, 0, 7);
        ctx.fill();
        ctx.restore();
    };
    const say = () => {
        const limit = state.limits[place], would = wouldRefuse(run, limit, within(run.x, state.range));
        slider.setAttribute("aria-valuetext", size(limit));
        const most = would.most != null ? `, at most ${size(would.most)}` : "";
        said.textContent = `With a limit of ${size(limit)}: ` + (would.first == null
            ? "nothing would have been refused."
            : `use was above it for ${(would.share * 100).toFixed(1)} % of the time, ` +
                `first at ${moment(would.first, run.relative)}; ` +
                `at least ${size(would.least)} would have been refused${most}.`);
    };
    const set = value => {
        state.limits[place] = Math.round(Math.min(Math.max(value, 0), most));
        slider.value = state.limits[place];
        say();
        plot?.redraw(false);
    };
    slider.addEventListener("input", () => set(Number(slider.value)));
    view.draw.push(() => {
        if (plot) forget(plot);
        plot = chart(box, run, lines, selected(run), { height: 130, small: true, top: most, draw });
        const over = plot.over, at = event => plot.posToVal(event.clientY - over.getBoundingClientRect().top, "y");
        over.addEventListener("pointerdown", event => {
            over.setPointerCapture(event.pointerId);
            set(at(event));
        });
        over.addEventListener("pointermove", event => event.buttons && set(at(event)));
    });
    view.sized.push(() => plot);
    view.moved.push(() => {
        if (plot) zoom(plot, selected(run));
        say();
    });
    return element("div", { class: "group" }, element("h3", {}, "What would have been refused at another limit"),
        element("p", { class: "hint" }, "Drag the line."), box, slider, said);
}

// ── 8: where this comes from ────────────────────────────────────────────────────────────────────────────────────────

function source(run, place) {
    const rows = [
        ["command", run.command], ["from", run.source], ["trend", run.trend?.replace(/^live:/, "use:")],
        ["headroom", data.version], ["sampling", run.sampling],
        ["left out", run.left_out.length ? run.left_out.join("; ") : "nothing"],
    ].filter(([, value]) => value);
    return part("Where this comes from", `source-${place}`,
        element("dl", { class: "source" },
            ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])));
}

// ── all of it ────────────────────────────────────────────────────────────────────────────────────────────────────

function view(run, place) {
    const made = { draw: [], moved: [], late: [], sized: [], narrow: () => innerWidth < 700 };
    made.follow = () => [...made.moved, ...made.late].forEach(act => act());
    made.redraw = () => {
        made.draw.forEach(act => act());
        made.follow();
    };
    made.forget = () => made.sized.forEach(plot => plot() && forget(plot()));
    made.element = element("article", { class: "run" }, element("h1", {}, run.title), verdict(run), figures(run),
        run.x.length ? mainLine(run, place, made) : element("p", { class: "hint" }, "There is no sample yet."),
        run.x.length ? ledgerLines(run, place, made) : null,
        budgets(run, place, made), run.x.length ? refused(run, place, made) : null, source(run, place));
    return made;
}

function show() {
    const focused = document.activeElement?.closest?.("[id]")?.id, scroll = scrollY;
    const inMain = document.activeElement?.classList.contains("main");
    state.views.forEach(old => old.forget());
    state.runs = data.runs.map(run => readRun(run, data.runs.length > 1));
    // Side by side all have the same time.
    const longest = Math.max(...state.runs.map(run => run.end));
    for (const run of state.runs) {
        const [from, to] = run.relative ? [0, longest] : [run.x[0], run.end];
        run.span = from < to ? [from, to] : [from - 1, from + 1];
    }
    state.views = state.runs.map(view);
    const board = document.getElementById("board");
    board.textContent = "";
    board.append(...state.views.map(made => made.element));
    board.classList.toggle("two", state.views.length > 1);
    state.views.forEach(made => made.redraw());
    document.title = `${state.runs.map(run => run.title).join(", ")} – headroom`;
    scrollTo(0, scroll);
    if (inMain && focused) document.getElementById(focused)?.querySelector(".main")?.focus({ preventScroll: true });
}

function begin() {
    const search = element("input", { type: "search", id: "search", placeholder: "Search  ( / )",
        "aria-label": "search budgets, pools, caches, ledgers and events",
        oninput: () => {
            state.search = search.value.trim().toLowerCase();
            state.views.forEach(made => made.follow());
        } });
    const status = element("span", { class: "live", role: "status" });
    page.append(element("header", {}, element("b", {}, "headroom"), status, search), element("div", { id: "board" }));
    show();
    addEventListener("keydown", event => {
        const typing = /^(INPUT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "range";
        if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
            event.preventDefault();
            search.focus();
        } else if (event.key === "Escape" && event.target === search) {
            search.value = state.search = "";
            search.blur();
            state.views.forEach(made => made.follow());
        }
    });
    addEventListener("hashchange", () => {
        state.range = readHash();
        state.views.forEach(made => made.follow());
    });
    let width = innerWidth, waiting;
    addEventListener("resize", () => {
        if (innerWidth === width) return;
        width = innerWidth;
        clearTimeout(waiting);
        waiting = setTimeout(() => state.views.forEach(made => made.redraw()), 60);
    });
    onTheme(() => state.views.forEach(made => made.redraw()));
    if (data.live) follow(status);
}

// Asks again once a second. While somebody drags or reads a folded page in the background, the picture stays.
function follow(status) {
    const token = new URLSearchParams(location.search).get("token");
    const ask = async () => {
        if (!document.hidden && !document.querySelector("input[type=range]:active")) {
            try {
                const query = token ? `?token=${encodeURIComponent(token)}` : "";
                const answer = await fetch(`history.json${query}`, { cache: "no-store" });
                if (!answer.ok) throw new Error(`answer ${answer.status}`);
                data = await answer.json();
                status.textContent = "live";
                status.className = "live";
                if (!dragging) show();
            } catch (error) {
                status.textContent = `no answer: ${error.message}; the page shows what was last known`;
                status.className = "live gone";
            }
        }
        setTimeout(ask, 1000);
    };
    let dragging = false;
    addEventListener("pointerdown", () => (dragging = true), true);
    addEventListener("pointerup", () => (dragging = false), true);
    addEventListener("pointercancel", () => (dragging = false), true);
    status.textContent = "live";
    setTimeout(ask, 1000);
}

begin();
