// SPDX-License-Identifier: Apache-2.0
// Budgets as nested rectangles by what they use. d3-hierarchy lays them out, and elements show them, so that a keyboard
// and a reader of screens reach each.
import { hierarchy, treemap, treemapSquarify } from "d3-hierarchy";
import { element, share, size } from "./format.js";

// A budget's path is that of its parent and its own name, which may have slashes in it: the parent is the longest other
// path that it begins with.
export function tree(budgets) {
    const nodes = budgets.map(budget => ({ ...budget, children: [] }));
    const root = nodes.find(node => nodes.every(other => other === node || other.name.startsWith(`${node.name}/`)));
    const top = root ?? { name: "all budgets", used_bytes: 0, children: [], made: true };
    for (const node of nodes) {
        if (node === top) continue;
        let parent = top;
        for (const other of nodes) {
            const closer = parent === top || other.name.length > parent.name.length;
            if (other !== node && closer && node.name.startsWith(`${other.name}/`)) parent = other;
        }
        parent.children.push(node);
        const below = !parent.made && node.name.startsWith(`${parent.name}/`);
        node.label = below ? node.name.slice(parent.name.length + 1) : node.name;
    }
    top.label = top.name;
    for (const node of [top, ...nodes]) {
        const below = node.children.reduce((sum, child) => sum + (child.used_bytes ?? 0), 0);
        const own = Math.max(0, (node.used_bytes ?? 0) - below);
        if (node.children.length && own > 0 && !node.made)
            node.children.push(
                { name: node.name, label: `${node.label}, itself`, used_bytes: own, own: true, children: [] });
    }
    return top;
}

export function drawTreemap(box, budgets, search) {
    box.textContent = "";
    const width = box.clientWidth || 320, height = box.clientHeight || 220;
    const root = hierarchy(tree(budgets))
        .sum(node => (node.children.length ? 0 : Math.max(node.used_bytes ?? 0, 0)))
        .sort((a, b) => b.value - a.value);
    treemap().tile(treemapSquarify).size([width, height]).paddingTop(18).paddingInner(2).round(true)(root);
    for (const node of root.descendants()) {
        const of = node.data, w = node.x1 - node.x0, h = node.y1 - node.y0;
        if (w < 3 || h < 3) continue;
        const full = of.limit_bytes ? (of.used_bytes ?? 0) / of.limit_bytes : 0;
        const heat = full > 0.95 ? "critical" : full > 0.9 ? "degraded" : full > 0.8 ? "warning" : "normal";
        const limit = of.limit_bytes ? ` of ${size(of.limit_bytes)} (${share(of.used_bytes, of.limit_bytes)})`
            : ", no limit of its own";
        const text = `${of.label}: ${size(of.used_bytes)}${limit}`, kind = node.children ? "inner" : "leaf";
        const cell = element("div", { class: `cell ${kind} ${heat}`, tabindex: 0, role: "img", title: text,
            "aria-label": text }, element("span", {}, w > 46 && h > 15 ? of.label : ""));
        if (!node.children && w > 60 && h > 34) cell.append(element("small", {}, size(of.used_bytes)));
        Object.assign(cell.style, { left: `${node.x0}px`, top: `${node.y0}px`, width: `${w}px`, height: `${h}px` });
        cell.classList.toggle("dim", search !== "" && !of.name.toLowerCase().includes(search));
        box.append(cell);
    }
}
