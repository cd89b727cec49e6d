// SPDX-License-Identifier: Apache-2.0
// The page in a real browser: page.mjs FOLDER_OF_NODE_MODULES CHROMIUM FILE GUARD_FILE LIVE_URL BUDGETS_FILE, which page.sh runs; or
// page.mjs FOLDER CHROMIUM --any FILE..., which looks whether pages are whole and drawn.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";

const [folder, browserPath, file, guardFile, liveUrl, budgetsFile] = process.argv.slice(2);
const { chromium } = createRequire(`${folder}/`)("playwright-core");
let failed = 0;
const check = (holds, text) => {
    if (holds) return;
    console.log(`page: ${text}`);
    failed = 1;
};

const browser = await chromium.launch({
    executablePath: browserPath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync"],
});

// A tab whose errors, and requests to elsewhere than its own page, are failures.
async function open(url, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1180, height: 900 }, ...options });
    const tab = await context.newPage();
    tab.on("console", message => check(message.type() !== "error" && (message.type() !== "warning" || message.text().includes("getImageData")), // which is the test's own
        `console of ${url}: ${message.text()}`));
    tab.on("pageerror", error => check(false, `error in ${url}: ${error.stack}`));
    tab.on("request", request => check(request.url().startsWith(new URL("/", url).href), `it asks ${request.url()}`));
    await tab.goto(url);
    await tab.waitForSelector(".chart.main canvas");
    return tab;
}

// How many pixels of a chart's canvas are of a colour, at most `off` away in each part.
const pixels = (tab, selector, name, off = 40) => tab.evaluate(([selector, name, off]) => {
    const probe = document.createElement("canvas").getContext("2d");
    probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    probe.fillRect(0, 0, 1, 1);
    const wanted = probe.getImageData(0, 0, 1, 1).data;
    const canvas = document.querySelector(`${selector} canvas`);
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4)
        if (data[i + 3] > 200 && [0, 1, 2].every(part => Math.abs(data[i + part] - wanted[part]) <= off)) count++;
    return count;
}, [selector, name, off]);

const text = (tab, selector) => tab.textContent(selector);
const hash = tab => tab.evaluate(() => location.hash);

if (file === "--any") {
    for (const each of process.argv.slice(5)) {
        const tab = await open(`file://${each}`);
        check(await pixels(tab, ".chart.main", "use") > 100, `${each} has no line of use`);
        check(!/undefined|NaN|null/.test(await text(tab, "body main")), `${each} shows undefined, NaN or null`);
        // Prevents: a program that SIGTERM had ended was "normal", and a count of no kills was drawn as a kill.
        const runs = JSON.parse(await text(tab, "#data")).runs, verdicts = await tab.$$eval(".verdict", all => all.map(one => one.textContent));
        runs.forEach((run, place) => {
            check(/limit [\d.]+ [KMGT]iB by --limit/.test(verdicts[place]), `${each}: the verdict does not say by what: ${verdicts[place]}`);
            check(run.command, `${each} has no command line`);
            const ended = run.events.filter(event => event.kind === "action").pop();
            check(!ended || (verdicts[place].includes(ended.budget) && !/^normal|full in/.test(verdicts[place])),
                `${each}: the verdict is '${verdicts[place]}', after ${ended?.budget}`);
        });
        await tab.$$eval("details.table", list => list.forEach(details => (details.open = true)));
        await tab.waitForTimeout(200);
        check(!/kill by the kernel: 0/.test(await text(tab, "body main")), `${each} has a kill by the kernel that was none`);
        await tab.context().close();
    }
    await browser.close();
    process.exit(failed);
}

// The milliseconds from the start of a navigation to the first frame that has something in it: by the clock, and of the
// processor in the tab's main thread, which other programs do not lengthen. Header and charts come in the same frame.
// Playwright waits for nothing meanwhile: what it runs in the tab to find a selector takes longer than a small page.
async function timeToPicture(url) {
    const context = await browser.newContext({ viewport: { width: 1180, height: 900 } });
    const tab = await context.newPage();
    const metrics = await context.newCDPSession(tab);
    await metrics.send("Performance.enable", { timeDomain: "threadTicks" });
    await tab.goto(url);
    const took = await tab.evaluate(() => new Promise(resolve => new PerformanceObserver(list => {
        const [painted] = list.getEntriesByName("first-contentful-paint");
        if (painted) resolve(painted.startTime);
    }).observe({ type: "paint", buffered: true })));
    const { metrics: list } = await metrics.send("Performance.getMetrics");
    await context.close();
    return { took, busy: list.find(({ name }) => name === "TaskDuration").value * 1000 };
}

// A page with the data of another one, and a line for each of its columns.
function plainPage(html) {
    const data = /<script type="application\/json" id="data">[^]*?<\/script>/.exec(html)[0];
    return `<!doctype html><meta charset="utf-8"><body>${data}<script>
        const run = JSON.parse(document.getElementById("data").textContent).runs[0];
        for (let column = 1; column < run.columns.length; column++) {
            const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
            [canvas.width, canvas.height] = [1100, 120];
            const most = run.rows.reduce((most, row) => Math.max(most, row[column]), 1);
            run.rows.forEach((row, i) => context.lineTo(i * 1100 / run.rows.length, 120 - row[column] / most * 120));
            context.stroke();
            document.body.append(canvas);
        }
    </script>`;
}

// ── from a file ──────────────────────────────────────────────────────────────────────────────────────────────────────

{
    const tab = await open(`file://${file}`);
    check(readFileSync(file).length <= 2 << 20, "it has more than 2 MiB");
    check((await tab.title()).startsWith("history"), `its title is ${await tab.title()}`);
    check(!(await text(tab, ".verdict")).includes("undefined"), "the verdict is not whole");
    check((await text(tab, ".verdict")).includes("limit 100.0 MiB by --limit"), `the verdict: ${await text(tab, ".verdict")}`);
    check((await text(tab, "#source-0")).includes("shop --title </script><script>"), "the command line is not shown");
    check((await tab.$$(".figures dd")).length === 5, "there are not five figures");
    check((await text(tab, ".figures")).includes("99.0 MiB"), "the one highest sample is not the peak");
    check((await text(tab, "#source-0")).includes("100000 samples"), "it does not say how many samples there were");
    for (const [selector, name] of [[".chart.main", "use"], [".chart.main", "limit"], ["#use-0, .ledger .chart", "use"], [".chart.limit", "accent"]])
        check(await pixels(tab, selector, name) > 100, `${selector} has no line of ${name}`);
    const points = await tab.evaluate(() => JSON.parse(document.getElementById("data").textContent).runs[0].rows.length);
    check(points <= 4000 && points > 3000, `it has ${points} points`);

    // The time from a new tab to a picture, against that of a plain page: the same data, a line on a canvas for each
    // column. In turn, and the least of each. On a busy machine the time by the clock tells nothing: it is only printed.
    const yardstick = file.replace(/[^/]*$/, "yardstick.html");
    writeFileSync(yardstick, plainPage(readFileSync(file, "utf8")));
    const times = { page: [], plain: [] };
    for (let round = 0; round < 3; round++) {
        times.page.push(await timeToPicture(`file://${file}`));
        times.plain.push(await timeToPicture(`file://${yardstick}`));
    }
    const least = (all, part) => Math.min(...all.map(time => time[part]));
    const ratio = part => least(times.page, part) / least(times.plain, part);
    console.log(`page: 100,000 samples are drawn in ${least(times.page, "took").toFixed(0)} ms, of which the main thread is busy ` +
        `for ${least(times.page, "busy").toFixed(0)}: ${ratio("took").toFixed(1)} and ${ratio("busy").toFixed(1)} times a plain canvas`);
    check(ratio("busy") < 4, `it computes ${ratio("busy").toFixed(1)} times as long as a plain canvas with the same data`);

    // The cursor has a tooltip with the figures, and moves in all charts.
    const box = await (await tab.$(".chart.main .u-over")).boundingBox();
    await tab.mouse.move(box.x + box.width * 0.3, box.y + box.height / 2);
    await tab.waitForTimeout(100);
    check(/use: [\d.]+ MiB/.test(await text(tab, ".tip")), `the tooltip says: ${await text(tab, ".tip")}`);
    const synced = await tab.$$eval(".ledger .u-cursor-x", list => list.filter(line => !line.classList.contains("u-off")).length);
    check(synced >= 2, `the cursor is in ${synced} small charts`);

    // The brush: all below follows, and it stands in the URL.
    const before = await text(tab, "#refused-0 .hint");
    await tab.mouse.move(box.x + box.width * 0.25, box.y + 60);
    await tab.mouse.down();
    await tab.mouse.move(box.x + box.width * 0.5, box.y + 60, { steps: 5 });
    await tab.mouse.up();
    check(/^#t=[\d.]+_[\d.]+$/.test(await hash(tab)), `the hash is ${await hash(tab)}`);
    check(await tab.isVisible(".brush"), "the brush is not to be seen");
    check(await text(tab, "#refused-0 .hint") !== before, "the refusals do not follow the brush");
    const kept = await hash(tab);
    await tab.mouse.move(box.x + box.width * 0.375, box.y + 60);
    await tab.mouse.down();
    await tab.mouse.move(box.x + box.width * 0.475, box.y + 60, { steps: 5 });
    await tab.mouse.up();
    check(await hash(tab) !== kept, "the brush cannot be moved");
    await tab.mouse.dblclick(box.x + box.width * 0.8, box.y + 60);
    check(await hash(tab) === "", `a double click leaves ${await hash(tab)}`);

    // A link with a time in it is the same view.
    const other = await open(`file://${file}${kept}`);
    check(await other.isVisible(".brush"), "the brush of a link is not there");
    await other.context().close();

    // By the keyboard: the cursor, Shift, Escape; search by a slash; the limit.
    await tab.focus(".chart.main");
    await tab.keyboard.press("Home");
    for (let i = 0; i < 3; i++) await tab.keyboard.press("Shift+PageDown");
    check((await hash(tab)).startsWith("#t="), "Shift and arrow keys select nothing");
    await tab.keyboard.press("Escape");
    check(await hash(tab) === "", "Escape does not select all");
    await tab.keyboard.press("/");
    await tab.keyboard.type("resident");
    const shown = await tab.$$eval(".ledger:not([hidden])", list => list.map(each => each.dataset.name));
    check(shown.length === 1 && shown[0] === "resident set", `a search for a ledger shows ${shown}`);
    await tab.keyboard.press("Escape");
    check((await tab.$$(".ledger:not([hidden])")).length > 1, "Escape does not end the search");
    const would = await text(tab, ".would");
    await tab.focus(".chart.limit + input");
    for (let i = 0; i < 10; i++) await tab.keyboard.press("PageDown");
    check(await text(tab, ".would") !== would && /at least [\d.]+ [KMGT]iB/.test(await text(tab, ".would")), "another limit changes nothing");
    const low = await text(tab, ".would");
    const limit = await (await tab.$(".chart.limit .u-over")).boundingBox();
    await tab.mouse.move(limit.x + 200, limit.y + limit.height - 5);
    await tab.mouse.down();
    await tab.mouse.move(limit.x + 200, limit.y + 12, { steps: 4 });
    await tab.mouse.up();
    check(await text(tab, ".would") !== low, "the limit cannot be dragged");

    // A table for each chart; a stranger's text is text.
    const tables = await tab.$$eval("details.table", list => list.map(details => {
        details.open = true;
        return details;
    }).length);
    await tab.waitForTimeout(200);
    const empty = await tab.$$eval("details.table", list => list.filter(details => details.offsetParent && !details.querySelector("td")).length);
    check(tables >= 6 && empty === 0, `of ${tables} tables ${empty} are empty`);
    check((await text(tab, "#main-0")).includes("</script><script>document.title=1</script>"), "the budget's name is not shown as it is");
    check(await tab.evaluate(() => document.title) !== "1", "a stranger's script has run");
    check(await tab.evaluate(() => document.scripts.length) === 2, "there is a third script");
    await tab.context().close();
}

// The treemap has the budgets, and the pool and the cache stand beside it.
async function hasBudgets(tab) {
    const cells = await tab.$$eval(".treemap .cell", list => list.map(cell => cell.title));
    check(cells.some(title => title.startsWith("</script><script>document.title=1</script>: 7.0 MiB of 8.0 MiB")), `budgets: ${cells}`);
    check((await text(tab, "#budgets-0")).includes("bodies") && (await text(tab, "#budgets-0")).includes("pages"), "pools and caches are missing");
    check(/pages\d+ B/.test(await text(tab, "#budgets-0")), "it does not say what the cache holds");
    check(await tab.title() !== "1", "a stranger's script has run");
}

// ── narrow, dark ─────────────────────────────────────────────────────────────────────────────────────────────────────

{
    const tab = await open(`file://${guardFile}`, { viewport: { width: 320, height: 700 }, colorScheme: "dark" });
    const width = await tab.evaluate(() => document.documentElement.scrollWidth);
    check(width <= 320, `at 320 px it is ${width} px wide`);
    const back = await tab.evaluate(() => getComputedStyle(document.body).backgroundColor);
    check(/^rgb\((\d|[1-5]\d), /.test(back), `its background in the dark is ${back}`);
    check(await pixels(tab, ".chart.main", "use") > 10, "in the dark there is no line of use");
    await tab.emulateMedia({ colorScheme: "light" });
    await tab.waitForTimeout(200);
    check(await pixels(tab, ".chart.main", "use") > 10, "it does not follow a change to light");
    await hasBudgets(tab);
    await tab.context().close();
}

// ── live ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

if (liveUrl) {
    const ofFile = await open(`file://${budgetsFile}`); // of its history file
    await hasBudgets(ofFile);
    // Prevents: a run of four seconds at 320 px had one mark of time, cut off at the right edge.
    await ofFile.setViewportSize({ width: 320, height: 700 });
    await ofFile.waitForTimeout(300);
    const marks = await ofFile.evaluate(() => {
        const canvas = document.querySelector(".chart.main canvas"), { width, height } = canvas;
        const left = Math.round(width * 0.3), below = Math.round(height - 26 * devicePixelRatio);
        const { data } = canvas.getContext("2d").getImageData(left, below, Math.round(width * 0.55), height - below);
        return data.filter((value, i) => i % 4 === 3 && value > 100).length;
    });
    check(marks > 30, `at 320 px the axis of time has ${marks} pixels of marks`);
    await ofFile.context().close();
    const answer = await fetch(liveUrl);
    check((answer.headers.get("content-security-policy") ?? "").includes("connect-src 'self'"), "there is no policy in the header");
    const tab = await open(liveUrl);
    const samples = async () => Number(/(\d+) samples/.exec(await text(tab, "#source-0"))?.[1]);
    const first = await samples();
    await tab.waitForFunction(before => Number(/(\d+) samples/.exec(document.querySelector("#source-0").textContent)?.[1]) > before, first, { timeout: 20000 })
        .catch(() => check(false, "no sample comes while it is live"));
    check(await pixels(tab, ".chart.main", "use") > 50, "live there is no line of use");
    check((await text(tab, ".live")) === "live", `it says '${await text(tab, ".live")}'`);
    // A selection, an open table and the search stay while new samples come.
    await tab.focus(".chart.main");
    await tab.keyboard.press("End");
    await tab.keyboard.press("Shift+ArrowLeft");
    const kept = await hash(tab);
    await tab.waitForTimeout(2500);
    check(kept !== "" && await hash(tab) === kept && await tab.isVisible(".brush"), "the selection is lost with the next samples");
    await tab.context().close();
}

await browser.close();
process.exit(failed);
