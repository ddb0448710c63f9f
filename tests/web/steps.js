// SPDX-License-Identifier: MIT
// As steps.c, in WebAssembly.  node steps.js DIFFUSION.js STEPS
"use strict";
const create = require(require("path").resolve(process.argv[2]));
const steps = Number(process.argv[3]);

create().then((library) => {
  const check = (result) => {
    if (result < 0) throw new Error(library.UTF8ToString(library._web_error()));
    return result;
  };
  const lines = [];
  check(library._web_begin(1, 0.002));
  for (let step = 0; step < steps; step++) {
    check(library._web_train_step());
    lines.push(library._web_loss());
  }
  const name = library._malloc(8);
  library.stringToUTF8("dpmpp", name, 8);
  check(library._web_sample_begin(name, 10, 1.5, 7));
  while (check(library._web_sample_step()) > 0) continue;
  const count = library._web_image_count() * library._web_image_size() ** 2 * 3;
  const start = library._web_images() / 4;
  const images = new Float32Array(library.HEAPU8.buffer).subarray(start, start + count);
  for (const value of images) lines.push(value);
  console.log(lines.join("\n"));
});
