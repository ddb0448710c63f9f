// SPDX-License-Identifier: MIT
// The page: starts the worker, passes on what the visitor chooses, and draws what comes back.
"use strict";

const element = (id) => document.getElementById(id);
const number = (id) => Number(element(id).value);
const SAMPLE_EVERY = 100; // steps, while it trains
const AVERAGE = 0.98;     // of the smoothed loss, per step

const source = element("worker-source").textContent;
const worker = new Worker(URL.createObjectURL(new Blob([source], {type: "text/javascript"})));

let paused = false;
let busy = false;        // sampling
let sampledAt = 0;       // the training step of the last samples
let losses = [];         // smoothed
let lowest = Infinity;   // of them
let highest = 0;
let smoothed = 0;
let stepsPerSecond = 0;
let canvases = [];

// ---- samples ----

function layOut(classes) {
  const box = element("samples");
  box.replaceChildren();
  canvases = [];
  for (let row = 0; row < 2; row++) {
    for (const name of classes) {
      const figure = document.createElement("figure");
      const canvas = document.createElement("canvas");
      figure.append(canvas);
      if (row === 1) {
        const caption = document.createElement("figcaption");
        caption.textContent = name;
        figure.append(caption);
      }
      box.append(figure);
      canvases.push(canvas);
    }
  }
}

function showImages(message) {
  const bytes = message.size * message.size * 4;
  for (let i = 0; i < message.count; i++) {
    const canvas = canvases[i];
    canvas.width = canvas.height = message.size;
    const colors = new Uint8ClampedArray(message.colors.buffer, i * bytes, bytes);
    canvas.getContext("2d").putImageData(new ImageData(colors, message.size, message.size), 0, 0);
  }
  busy = message.left > 0;
  element("sample-state").textContent = busy
    ? `${message.left} steps left`
    : `after ${message.trained} training steps, drawn in ${message.seconds.toFixed(1)} s`;
}

function sample() {
  busy = true;
  worker.postMessage({type: "sample", solver: element("solver").value, steps: number("steps"),
    guidance: number("guidance"), seed: number("noise")});
}

// ---- training ----

// A logarithmic axis, since losses fall by powers; one point for each pixel column.
function drawLoss() {
  const canvas = element("loss");
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  pen.scale(ratio, ratio);
  pen.font = "12px system-ui, sans-serif";
  pen.fillStyle = style.getPropertyValue("--muted");
  pen.strokeStyle = style.getPropertyValue("--line");
  if (losses.length < 2) return;
  const left = 44, bottom = height - 20, top = 8;
  const low = lowest * 0.95, high = highest * 1.05;
  const y = (loss) => bottom - (bottom - top) * Math.log(loss / low) / Math.log(high / low);
  for (const tick of [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]) {
    if (tick < low || tick > high) continue;
    pen.beginPath();
    pen.moveTo(left, y(tick));
    pen.lineTo(width, y(tick));
    pen.stroke();
    pen.fillText(String(tick), 4, y(tick) + 4);
  }
  pen.fillText("0", left, height - 4);
  pen.textAlign = "right";
  pen.fillText(`${losses.length} steps`, width, height - 4);
  pen.strokeStyle = style.getPropertyValue("--accent");
  pen.lineWidth = 1.5;
  pen.beginPath();
  const columns = Math.min(width - left, losses.length);
  for (let column = 0; column < columns; column++) {
    const index = Math.round(column / Math.max(1, columns - 1) * (losses.length - 1));
    const x = left + column / Math.max(1, columns - 1) * (width - left);
    if (column === 0) pen.moveTo(x, y(losses[index]));
    else pen.lineTo(x, y(losses[index]));
  }
  pen.stroke();
}

function showTraining(message) {
  for (const loss of message.losses) {
    const count = losses.length + 1;
    const keep = Math.min(AVERAGE, 1 - 1 / count); // a plain mean at first
    smoothed = keep * smoothed + (1 - keep) * loss;
    losses.push(smoothed);
    lowest = Math.min(lowest, smoothed);
    highest = Math.max(highest, smoothed);
  }
  const rate = message.losses.length / message.seconds;
  stepsPerSecond = stepsPerSecond ? 0.9 * stepsPerSecond + 0.1 * rate : rate;
  element("train-state").textContent = `step ${message.steps}, loss ${smoothed.toFixed(3)}, ` +
    `${stepsPerSecond.toFixed(1)} steps per second`;
  drawLoss();
  if (element("automatic").checked && !busy && message.steps - sampledAt >= SAMPLE_EVERY) {
    sampledAt = message.steps;
    sample();
  }
}

function begin() {
  losses = [];
  lowest = Infinity;
  highest = 0;
  smoothed = stepsPerSecond = sampledAt = 0;
  paused = busy = false;
  element("pause").textContent = "Pause";
  element("sample-state").textContent = "";
  worker.postMessage({type: "begin", seed: number("seed"), learningRate: number("rate")});
}

// ---- messages ----

function showError(text) {
  element("error").textContent = text;
  element("error").hidden = !text;
  busy = false;
}

const handlers = {
  ready(message) {
    for (const name of message.solvers) element("solver").add(new Option(name));
    element("solver").value = "dpmpp";
    element("build").textContent = message.build;
    for (const id of ["sample", "pause", "restart"]) element(id).disabled = false;
    begin();
  },
  begun(message) {
    showError("");
    layOut(message.classes);
    element("train-state").textContent = `${message.parameters} parameters`;
  },
  trained: showTraining,
  images: showImages,
  error(message) { showError(message.text); },
};

worker.onmessage = (event) => handlers[event.data.type](event.data);
worker.onerror = (event) => showError(event.message);

element("sample").onclick = sample;
element("restart").onclick = begin;
element("pause").onclick = () => {
  paused = !paused;
  worker.postMessage({type: paused ? "pause" : "resume"});
  element("pause").textContent = paused ? "Go on" : "Pause";
};
window.onresize = drawLoss;
