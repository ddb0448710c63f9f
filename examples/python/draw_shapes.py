#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Trains a small network on drawn shapes for a few minutes and shows what it draws.
draw_shapes.py [STEPS [OUT.png]]"""
import sys

import libdiffusion as dm

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
path = sys.argv[2] if len(sys.argv) > 2 else "shapes.png"

context = dm.Context()
schedule = dm.Schedule(context)
shapes = dm.Dataset.shapes(context, size=16, count=10000, seed=1)
unet = dm.Unet(context, height=16, width=16, levels=2, channels=[32, 64], blocks=[1, 1],
               classes=shapes.info.classes, seed=1)
trainer = dm.Trainer(unet, schedule, shapes, batch_size=16, learning_rate=1e-3, label_dropout=0.1)
try:
    trainer.run(steps, progress=True)
except KeyboardInterrupt:
    print(f"stopped after step {trainer.steps_done}")

# A row for each class, drawn with the averaged weights.
average = trainer.get_ema(0)
sampler = dm.Sampler(average, schedule, solver="dpmpp", steps=20, guidance=2)
labels = [label for label in range(shapes.info.classes) for _ in range(8)]
images = sampler.run(labels=labels, seed=7, progress=True)
picture = dm.Picture(images, columns=8, scale=2)
picture.save(path)
print("rows: " + ", ".join(str(shapes.class_name(label)) for label in range(shapes.info.classes)))
picture  # the last expression of a notebook's cell is shown there
