// SPDX-License-Identifier: MIT
// The page's worker: trains in slices of 100 ms, so that messages are answered in between, and
// samples a step at a time. diffusion.js, which defines createDiffusion, stands before it.
//
// Messages to it: {type: "begin", seed, learningRate}, "pause", "resume", {type: "sample", solver,
// steps, guidance, seed}. Messages from it: "ready", "begun", "trained", "images", "error".
"use strict";

let library;
let running = false;
let sampling = false;
let scheduled = false;
let sampleStart = 0;
const SLICE_MS = 100;

function text(pointer) {
  return pointer ? library.UTF8ToString(pointer) : null;
}

function check(result) {
  if (result < 0) throw new Error(text(library._web_error()));
  return result;
}

function begin(message) {
  running = sampling = false;
  check(library._web_begin(message.seed >>> 0, message.learningRate));
  const names = [];
  for (let label = 0; text(library._web_class_name(label)); label++) {
    names.push(text(library._web_class_name(label)));
  }
  running = true;
  postMessage({type: "begun", parameters: library._web_parameters(), classes: names});
}

function beginSampling(message) {
  const length = library.lengthBytesUTF8(message.solver) + 1;
  const name = library._malloc(length);
  library.stringToUTF8(message.solver, name, length);
  const result = library._web_sample_begin(name, message.steps, message.guidance, message.seed >>> 0);
  library._free(name);
  check(result);
  sampling = true;
  sampleStart = performance.now();
}

function sampleStep() {
  const left = check(library._web_sample_step());
  const size = library._web_image_size();
  const count = library._web_image_count();
  const start = library._web_colors();
  const colors = library.HEAPU8.slice(start, start + count * size * size * 4);
  sampling = left > 0;
  postMessage({type: "images", left, size, count, colors, trained: library._web_steps_done(),
    seconds: (performance.now() - sampleStart) / 1000}, [colors.buffer]);
}

function trainSlice() {
  const start = performance.now();
  const losses = [];
  do {
    check(library._web_train_step());
    losses.push(library._web_loss());
  } while (performance.now() - start < SLICE_MS);
  postMessage({type: "trained", steps: library._web_steps_done(), losses,
    seconds: (performance.now() - start) / 1000});
}

// A run of the sampler goes first: it is what the visitor waits for.
function work() {
  scheduled = false;
  try {
    if (sampling) sampleStep();
    else if (running) trainSlice();
  } catch (error) {
    running = sampling = false;
    postMessage({type: "error", text: error.message});
  }
  schedule();
}

function schedule() {
  if (scheduled || !(running || sampling)) return;
  scheduled = true;
  setTimeout(work, 0);
}

onmessage = function (event) {
  const message = event.data;
  try {
    if (message.type === "begin") begin(message);
    else if (message.type === "pause") running = false;
    else if (message.type === "resume") running = true;
    else if (message.type === "sample") beginSampling(message);
  } catch (error) {
    postMessage({type: "error", text: error.message});
  }
  schedule();
};

createDiffusion().then(function (module) {
  library = module;
  const solvers = [];
  for (let i = 0; i < library._web_solvers(); i++) {
    const name = text(library._web_solver_name(i));
    if (name) solvers.push(name);
  }
  postMessage({type: "ready", solvers, build: text(library._web_build())});
}, function (error) {
  postMessage({type: "error", text: "WebAssembly could not be started: " + error});
});
