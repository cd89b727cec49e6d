// SPDX-License-Identifier: Apache-2.0
// Figures as people read them, and elements from texts. Nothing here takes HTML: texts may be strangers'.

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

export function size(bytes) {
    if (bytes == null || !isFinite(bytes)) return "none";
    let unit = 0, value = Math.abs(bytes);
    while (value >= 1024 && unit < units.length - 1) {
        value /= 1024;
        unit++;
    }
    return `${bytes < 0 ? "−" : ""}${unit ? value.toFixed(1) : value.toFixed(0)} ${units[unit]}`;
}

export function count(number) {
    return number == null ? "–" : number.toLocaleString("en");
}

export function share(part, whole) {
    return part == null || !whole ? "–" : `${(part / whole * 100).toFixed(1)} %`;
}

export function time(seconds) {
    if (seconds == null) return "–";
    if (seconds < 1) return `${(seconds * 1000).toFixed(0)} ms`;
    if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
    if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`;
    if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
    return `${(seconds / 86400).toFixed(0)} days`;
}

// A moment of the x axis: by the clock, or since the beginning where runs stand side by side.
export function moment(x, relative) {
    if (relative) return `${x.toFixed(2)} s`;
    const date = new Date(x * 1000);
    const two = number => String(number).padStart(2, "0");
    return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

// A mark of the axis, as fine as the step from one to the next.
export function mark(x, step, relative) {
    if (relative) return `${+x.toFixed(3)} s`;
    const text = new Date(x * 1000).toLocaleString("sv");
    if (step >= 86400) return text.slice(5, 10);
    if (step >= 60) return text.slice(11, 16);
    if (step >= 1) return text.slice(11, 19);
    return `${text.slice(17, 19)}.${String(Math.round(x * 1000) % 1000).padStart(3, "0")}`;
}

export function date(x) {
    return new Date(x * 1000).toLocaleString("sv");
}

// An element: its attributes, and its children, of which strings become text.
export function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
        if (value == null || value === false) continue;
        if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
        else made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.filter(child => child != null && child !== false));
    return made;
}
