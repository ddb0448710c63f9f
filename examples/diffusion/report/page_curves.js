// SPDX-License-Identifier: MIT
// Curves over steps as SVG, with a cursor that reads out the values of a step in all of them.
// page.js, which follows in the same script, calls the functions.

// ---- small helpers ----

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);

function svg(parent, name, attributes, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    return parent.appendChild(node);
}
function element(parent, name, className, text) {
    const node = document.createElement(name);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return parent.appendChild(node);
}
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const whole = (value) => Math.round(value).toLocaleString("en-US");
function number(value) {
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e5 || size < 1e-3)
        return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e").replace("-", "−");
    return String(Number(value.toPrecision(4))).replace("-", "−");
}
// The index of the step in a sorted list that is nearest.
function nearest(steps, step) {
    let low = 0, high = steps.length - 1;
    while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (steps[middle] > step) high = middle;
        else low = middle;
    }
    return step - steps[low] <= steps[high] - step ? low : high;
}

// ---- axes ----

// Round numbers in a range of a linear axis, about `count` of them.
function linearTicks(low, high, count) {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const size = power * [1, 2, 5, 10].find((digit) => digit * power >= raw * 0.75);
    const ticks = [];
    for (let i = Math.ceil(low / size - 1e-9); i * size <= high + size * 1e-9; i++)
        ticks.push(i * size);
    return ticks;
}
// Numbers on a logarithmic axis; whole decades alone where there are many.
function logTicks(low, high, count) {
    const decades = Math.log10(high / low), ticks = [];
    const digits = decades > count ? [1] : decades > 0.9 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
        for (const digit of digits) {
            const value = digit * 10 ** power;
            if (value >= low && value <= high) ticks.push(value);
        }
    return ticks.length < 2 ? linearTicks(low, high, count) : ticks;
}
const usable = (value, log) => value !== null && (!log || value > 0);

// The range of the lines; of the bands only what is between their 2% and 98% quantiles, or a single
// outlier would flatten the curve. The steep beginning of a long curve may leave the panel.
function valueRange(panel) {
    let values = [];
    for (const s of panel.series) {
        const begin = panel.log && s.values.length > 200 ? s.values.length / 100 : 0;
        values = values.concat(s.values.slice(begin).filter((v) => usable(v, panel.log)));
        if (!s.band) continue;
        for (const [bound, share] of [[s.curve.low, 0.02], [s.curve.high, 0.98]]) {
            const sorted = bound.filter((v) => usable(v, panel.log)).sort((a, b) => a - b);
            if (sorted.length) values.push(sorted[Math.floor(share * (sorted.length - 1))]);
        }
    }
    let low = values.reduce((a, b) => Math.min(a, b), Infinity);
    let high = values.reduce((a, b) => Math.max(a, b), -Infinity);
    if (low > high) return null;
    if (panel.log) return [low / 1.04, Math.max(high * 1.04, low * 1.15)];
    if (panel.fromZero) low = Math.min(0, low);
    const margin = 0.06 * (high - low) || 0.1 * Math.abs(high) || 1;
    return [panel.fromZero && low === 0 ? 0 : low - margin, high + margin];
}

// ---- panels ----

const panels = [];
let cursor = null; // the step that is read out, in all panels
let shownStep = null; // that of the samples

// series: {label, curve, values, band, dash}; panel: {title, log, fromZero, height, small, marks}
function addPanel(parent, panel) {
    panel.series = panel.series.filter((s) => s.curve);
    if (!panel.series.length) return;
    panel.box = element(parent, "div", "panel");
    const head = element(panel.box, "div", "panel-head");
    element(head, "h2", panel.small ? "small" : "", panel.title);
    panel.readOut = element(head, "div", "read-out");
    panel.plot = element(panel.box, "div", "plot");
    panel.plot.id = "plot-" + panels.length;
    panel.plot.tabIndex = 0;
    panel.plot.setAttribute("role", "img");
    panel.plot.addEventListener("pointermove", (event) => point(panel, event));
    panel.plot.addEventListener("pointerdown", (event) => point(panel, event));
    panel.plot.addEventListener("pointerleave", (event) => {
        if (event.pointerType === "mouse") setCursor(null);
    });
    panel.plot.addEventListener("blur", () => setCursor(null));
    panel.plot.addEventListener("keydown", (event) => moveCursor(panel, event));
    panels.push(panel);
}

const colour = (i) => `var(--s${i})`;
const left = 50, right = 8, top = 6;

function linePath(panel, steps, values) {
    let path = "", pen = "M";
    values.forEach((value, i) => {
        if (!usable(value, panel.log)) return;
        path += `${pen}${panel.x(steps[i]).toFixed(1)} ${panel.y(value).toFixed(1)}`;
        pen = "L";
    });
    return path;
}
function bandPath(panel, curve) {
    const keep = curve.step.map((_, i) => i).filter(
        (i) => usable(curve.low[i], panel.log) && usable(curve.high[i], panel.log));
    const side = (bound, order) => order.map(
        (i) => `${panel.x(curve.step[i]).toFixed(1)} ${panel.y(bound[i]).toFixed(1)}`).join("L");
    return keep.length ? `M${side(curve.high, keep)}L${side(curve.low, [...keep].reverse())}Z` : "";
}

function drawAxes(panel, root, width, height, [low, high], domain) {
    const bottom = height - panel.below;
    const ticks = (panel.log ? logTicks : linearTicks)(low, high, Math.max(2, bottom / 45));
    let previous = Infinity; // the label below would overlap it
    for (const tick of ticks) {
        const y = panel.y(tick);
        svg(root, "line", {class: "grid", x1: left, x2: width - right, y1: y, y2: y});
        if (previous - y < 15) continue;
        previous = y;
        svg(root, "text", {x: left - 8, y: y + 4, "text-anchor": "end"}, number(tick));
    }
    svg(root, "line", {class: "axis", x1: left, x2: width - right, y1: bottom, y2: bottom});
    if (panel.below < 12) return;
    for (const step of linearTicks(...domain, clamp(width / 90, 2, 8))) {
        const x = panel.x(step), anchor = x > width - 30 ? "end" : "middle";
        svg(root, "line", {class: "axis", x1: x, x2: x, y1: bottom, y2: bottom + 4});
        svg(root, "text", {x, y: bottom + 17, "text-anchor": anchor}, whole(step));
    }
}

function drawPanel(panel) {
    const width = panel.plot.clientWidth, height = panel.height, range = valueRange(panel);
    panel.box.hidden = !range;
    if (!range || width < 120) return;
    const steps = panel.series.flatMap((s) => [s.curve.step[0], s.curve.step.at(-1)]);
    const domain = panel.domain || [Math.min(...steps), Math.max(...steps)];
    panel.below = panel.small && !panel.labelled ? 4 : 22;
    const scale = panel.log ? Math.log : (value) => value;
    const [y0, y1] = range.map(scale), bottom = height - panel.below;
    const span = domain[1] - domain[0] || 1;
    panel.x = (step) => left + (step - domain[0]) / span * (width - left - right);
    panel.y = (value) => top + (y1 - scale(value)) / (y1 - y0) * (bottom - top);
    panel.stepAt = (x) =>
        clamp(domain[0] + (x - left) / (width - left - right) * span, ...domain);
    const root = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg(root, "clipPath", {id: `${panel.plot.id}-clip`});
    svg(root.firstChild, "rect", {x: left, y: 0, width: width - left, height: bottom});
    root.setAttribute("height", height);
    drawAxes(panel, root, width, height, range, domain);
    const clipped = svg(root, "g", {"clip-path": `url(#${panel.plot.id}-clip)`});
    panel.series.forEach((s, i) => {
        if (s.band)
            svg(clipped, "path", {class: "band", d: bandPath(panel, s.curve), fill: colour(i)});
    });
    panel.series.forEach((s, i) => {
        svg(clipped, "path", {class: "line", d: linePath(panel, s.curve.step, s.values),
            stroke: colour(i), "stroke-dasharray": s.dash || ""});
        if (panel.marks) s.curve.step.forEach((step, k) => svg(root, "circle",
            {class: "dot", r: 4, cx: panel.x(step), cy: panel.y(s.values[k]), fill: colour(i)}));
    });
    panel.over = svg(root, "g", {});
    panel.bottom = bottom;
    panel.limits = domain;
    panel.plot.replaceChildren(root);
    const last = panel.series.map((s) => `${s.label} ${number(s.values.at(-1))}`).join(", ");
    panel.plot.setAttribute("aria-label", `${panel.title}, steps ${whole(domain[0])} to ` +
        `${whole(domain[1])}; at the end: ${last}. Arrow keys read out other steps.`);
    drawOver(panel);
}

// The cursor, or where there is none the last step, with its values, and the step of the samples
// that are shown. The text is as long with the cursor as without, so that nothing moves.
function drawOver(panel) {
    if (!panel.over) return;
    panel.over.replaceChildren();
    panel.readOut.replaceChildren();
    const within = (step) => step !== null && step >= panel.limits[0] && step <= panel.limits[1];
    const rule = (className, step) => svg(panel.over, "line", {class: className, y1: top,
        y2: panel.bottom, x1: panel.x(step), x2: panel.x(step)});
    if (within(shownStep)) rule("shown", shownStep);
    const index = (s) => cursor === null ? s.curve.step.length - 1 : nearest(s.curve.step, cursor);
    const step = panel.series[0].curve.step[index(panel.series[0])];
    if (cursor !== null && within(step)) rule("cursor", step);
    if (!panel.small) element(element(panel.readOut, "span", "", "step "), "b", "", whole(step));
    panel.series.forEach((s, i) => {
        const k = index(s), value = s.values[k], entry = element(panel.readOut, "span");
        const key = svg(entry, "svg", {viewBox: "0 0 22 8", "aria-hidden": "true"});
        svg(key, "line", {x1: 0, x2: 22, y1: 4, y2: 4, stroke: colour(i), "stroke-width": 2.5,
            "stroke-dasharray": s.dash || ""});
        entry.append(s.label + " ");
        if (!usable(value, panel.log)) return;
        element(entry, "b", "", number(value));
        if (s.band && s.curve.low[k] < s.curve.high[k])
            entry.append(`  (${number(s.curve.low[k])} to ${number(s.curve.high[k])})`);
        if (cursor !== null) svg(panel.over, "circle", {class: "dot", r: 4, fill: colour(i),
            cx: panel.x(s.curve.step[k]), cy: clamp(panel.y(value), top, panel.bottom)});
    });
}
function setCursor(step) {
    cursor = step;
    panels.forEach(drawOver);
}
function point(panel, event) {
    setCursor(panel.stepAt(event.clientX - panel.plot.getBoundingClientRect().left));
}
function moveCursor(panel, event) {
    const way = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!way) return;
    event.preventDefault();
    event.stopPropagation();
    const [first, last] = panel.limits, size = (last - first) / 100;
    setCursor(clamp((cursor === null ? last : cursor) + way * size, first, last));
}

function addTrainingPanels() {
    const {curves, window: mean} = data.training, c = curves;
    const steps = Object.values(c).flatMap((one) => [one.step[0], one.step.at(-1)]);
    const domain = [Math.min(...steps), Math.max(...steps)];
    const line = (name, label, values, more) =>
        ({label, curve: c[name], values: c[name] && c[name][values], ...more});
    addPanel(byId("training"), {title: "Loss", log: true, height: 300, domain,
        series: [line("loss", "running mean", "smooth", {band: true})]});
    addPanel(byId("training"), {title: "Gradient norm", log: true, height: 100, domain, small: true,
        series: [line("gradient_norm", "mean", "smooth", {band: true})]});
    addPanel(byId("training"), {title: "Learning rate", fromZero: true, height: 112, domain,
        small: true, labelled: true, series: [line("learning_rate", "of the step", "mean")]});
    if (panels.length) element(byId("training"), "p", "note", "Line: running mean over about " +
        `${whole(Math.max(1, mean))} steps. Band: lowest and highest value.` +
        (shownStep === null ? "" : " Dotted: the samples that are shown."));
    addPanel(byId("quarters"), {title: "Loss by noise level of the timestep", log: true,
        height: 250, domain, series: [
            line("loss_q1", "cleanest quarter", "smooth"),
            line("loss_q2", "second", "smooth", {dash: "9 3"}),
            line("loss_q3", "third", "smooth", {dash: "5 3"}),
            line("loss_q4", "noisiest quarter", "smooth", {dash: "3 2"})]});
}

function addEvaluationPanels() {
    const c = data.evaluation.curves, parent = element(byId("evaluation"), "div", "panels");
    const line = (name, label, more) =>
        ({label, curve: c[name], values: c[name] && c[name].mean, ...more});
    const bits = "Bits per dimension";
    const add = (title, ...series) =>
        addPanel(parent, {title, fromZero: title !== bits, height: 200, marks: true, series});
    add("Fréchet distance", line("distance", "distance"));
    add("Kernel distance", line("kernel_distance", "distance"));
    add("Precision and recall", line("precision", "precision"),
        line("recall", "recall", {dash: "5 3"}));
    add(bits, line("bits", "bits"));
}
