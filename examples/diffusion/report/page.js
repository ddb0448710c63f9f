// SPDX-License-Identifier: MIT
// Draws the curves and shows the samples of the JSON in #data, and loads a running page again. It
// follows page_curves.js in the same script.
document.body.classList.add("js");

// ---- what is kept while the page loads itself again ----

const storageKey = "report " + location.pathname;
function loadState() {
    try {
        return JSON.parse(sessionStorage.getItem(storageKey)) || {};
    } catch {
        return {}; // storage is off, or the text is not ours
    }
}
// shown: step of the samples, null for the newest; playing; cursor: step or null; scroll; focus: id
const state = loadState();

function saveState() {
    state.scroll = window.scrollY;
    state.cursor = cursor;
    state.focus = document.activeElement && document.activeElement.id;
    try {
        sessionStorage.setItem(storageKey, JSON.stringify(state));
    } catch {} // storage is off: the page then begins anew
}

// ---- samples ----

const frameMs = 350, lastFrameMs = 1500;
let frame = data.grids.length - 1, timer = 0;

function showGrid(i) {
    frame = clamp(i, 0, data.grids.length - 1);
    const grid = data.grids[frame];
    const text = `after ${whole(grid.step)} ${grid.step === 1 ? "step" : "steps"}`;
    const newest = frame === data.grids.length - 1;
    shownStep = grid.step;
    state.shown = newest ? null : grid.step;
    byId("shot").src = grid.src;
    byId("shot").alt = `samples ${text}`;
    byId("shot-step").textContent = newest ? `${text}, the newest` : text;
    byId("shot-slider").value = frame;
    byId("shot-slider").setAttribute("aria-valuetext", text);
    panels.forEach(drawOver);
}
function play(on) {
    clearTimeout(timer);
    state.playing = on;
    byId("play").classList.toggle("playing", on);
    byId("play").setAttribute("aria-label", on ? "pause" : "play");
    if (!on) return;
    const last = frame === data.grids.length - 1;
    timer = setTimeout(() => {
        showGrid(last ? 0 : frame + 1);
        play(true);
    }, last ? lastFrameMs : frameMs);
}
// Small pictures are enlarged without blur.
function sharpen() {
    const shot = byId("shot"), enlarged = shot.clientWidth * devicePixelRatio / shot.naturalWidth;
    shot.style.imageRendering = enlarged >= 1.5 ? "pixelated" : "auto";
}
function onKey(event) {
    const way = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest("input, .plot")) return; // these have arrow keys of their own
    if (event.key === " " && event.target === document.body) play(!state.playing);
    else if (way) {
        play(false);
        showGrid(frame + way);
    } else return;
    event.preventDefault();
}
function beginSamples() {
    const shot = byId("shot"), many = data.grids.length > 1;
    byId("samples").hidden = !shot;
    if (!shot) return;
    data.grids.at(-1).src = shot.src;
    byId("samples").querySelector(".player").hidden = !many;
    const slider = byId("shot-slider");
    slider.max = data.grids.length - 1;
    slider.addEventListener("input", () => {
        play(false);
        showGrid(Number(slider.value));
    });
    byId("play").addEventListener("click", () => {
        if (!state.playing && frame === data.grids.length - 1) showGrid(0);
        play(!state.playing);
    });
    document.addEventListener("keydown", onKey);
    shot.addEventListener("load", sharpen);
    const before = Number.isFinite(state.shown);
    showGrid(before ? nearest(data.grids.map((g) => g.step), state.shown) : data.grids.length - 1);
    play(Boolean(state.playing && many));
}

// ---- the page ----

function layOut() {
    for (const id of ["training", "quarters", "evaluation"])
        byId(id).hidden = !byId(id).querySelector(".panel");
    const both = !byId("samples").hidden && !byId("training").hidden;
    for (const id of ["samples", "training"]) byId(id).classList.toggle("wide", !both);
    for (const id of ["quarters", "evaluation"]) byId(id).classList.add("wide");
}

function showAge() {
    const seconds = Math.max(0, Date.now() / 1000 - data.written);
    const ago = seconds < 90 ? `${Math.floor(seconds)} s` : seconds < 5400 ?
        `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
    byId("updated").textContent = `updated ${ago} ago`;
}

// Not while the page is in the background or a pointer is pressed on it.
function reloadWhenIdle(held) {
    if (document.hidden || held()) setTimeout(() => reloadWhenIdle(held), 1000);
    else location.reload();
}
function followRun() {
    let pressed = false;
    addEventListener("pointerdown", () => { pressed = true; });
    for (const name of ["pointerup", "pointercancel"])
        addEventListener(name, () => { pressed = false; });
    setTimeout(() => reloadWhenIdle(() => pressed), 20000);
    showAge();
    setInterval(showAge, 1000);
}

history.scrollRestoration = "manual";
addEventListener("pagehide", saveState);
beginSamples();
addTrainingPanels();
addEvaluationPanels();
layOut();
const redraw = () => panels.forEach(drawPanel);
redraw();
addEventListener("resize", () => {
    redraw();
    if (byId("shot")) sharpen();
});
if (state.focus && byId(state.focus)) byId(state.focus).focus({preventScroll: true});
if (Number.isFinite(state.cursor)) setCursor(state.cursor);
if (state.scroll) scrollTo(0, state.scroll);
if (data.running) followRun();
else byId("updated").textContent = new Date(data.written * 1000).toLocaleString(
    undefined, {dateStyle: "medium", timeStyle: "short"});
