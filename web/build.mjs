// SPDX-License-Identifier: Apache-2.0
// Bundles the page and writes it as C: node build.mjs OUTPUT.c
//
// A page is HEAD, a policy for connections, MIDDLE, the data as JSON, TAIL. All but the policy and the data is fixed, so
// the hashes of style and script stand in the page and are the only ones that its Content-Security-Policy permits.
import { build } from "vite";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const output = process.argv[2];
if (!output) {
    console.error("build.mjs: say where the C source is to be: node build.mjs page.c");
    process.exit(2);
}

const result = await build({
    root: here,
    configFile: false,
    logLevel: "warn",
    build: {
        write: false,
        target: "es2020",
        minify: "esbuild",
        cssMinify: "esbuild",
        cssCodeSplit: false,
        lib: { entry: join(here, "src/main.js"), formats: ["iife"], name: "headroomPage", fileName: "page" },
    },
});
const files = (Array.isArray(result) ? result[0] : result).output;
const script = files.find(file => file.type === "chunk").code.trim();
const style = files.find(file => file.fileName.endsWith(".css")).source.toString().trim();
if (/<\/(script|style)/i.test(script) || /<\/style/i.test(style) || script.includes("<!--"))
    throw new Error("the bundle has an end tag in it, which would end its element");

const licences = ["uplot", "d3-hierarchy"].map(name => {
    const folder = join(here, "node_modules", name);
    const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    return `${name} ${version}\n\n${readFileSync(join(folder, "LICENSE"), "utf8").trim()}`;
});
const hash = text => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
const policy = `default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; ` +
    `script-src ${hash(script)}; style-src ${hash(style)}`;

const parts = {
    head: `<!doctype html>
<!--
headroom's page. It is licensed under Apache-2.0, and has parts of these:

${licences.join("\n\n").replaceAll("--", "- -")}
-->
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}`,
    middle: `">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>headroom</title>
<style>${style}</style>
</head>
<body>
<noscript>This page draws its charts with JavaScript, which is switched off. 'headroom report FILE' says the same as
text.</noscript>
<main id="page"></main>
<script type="application/json" id="data">`,
    tail: `</script>
<script>${script}</script>
</body>
</html>
`,
    policy,
};

// Octal escapes end after three digits whatever follows; "?" is escaped for the sake of trigraphs.
const quote = bytes => {
    let text = "";
    for (const byte of bytes) {
        const plain = byte >= 32 && byte < 127 && byte !== 34 && byte !== 92 && byte !== 63;
        text += plain ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`;
    }
    return `"${text}"`;
};
const lines = ["/* The page, bundled by web/build.mjs. */", '#include "report/page.h"', ""];
for (const [name, text] of Object.entries(parts)) {
    const bytes = Buffer.from(text, "utf8");
    lines.push(`static const char ${name}[] =`);
    for (let at = 0; at < bytes.length; at += 96)
        lines.push(`    ${quote(bytes.subarray(at, at + 96))}`);
    lines[lines.length - 1] += ";";
    lines.push("");
}
lines.push("const hri_page_bundle hri_page = {");
for (const name of Object.keys(parts))
    lines.push(`    .${name} = {${name}, sizeof ${name} - 1},`);
lines.push("};", "");
writeFileSync(output, lines.join("\n"));
console.log(`page: ${Object.values(parts).join("").length} bytes`);
