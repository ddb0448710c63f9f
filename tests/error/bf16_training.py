#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The loss of training with bfloat16 beside that of float32, from the same weights, images, noise
and timesteps.

    bf16_training.py [STEPS [BATCH]]     1,000 steps of 32 images of the built-in shapes

Prints the mean losses of each tenth of the steps and their ratio.
"""
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "examples", "python", "src"))
import libdiffusion as dm  # noqa: E402


def train(precision, steps, batch):
    context = dm.Context()
    unet = dm.Unet(context, dm.UnetOptions(levels=3, channels=[32, 64, 64], blocks=[1, 1, 1],
                                           norm_groups=8), seed=1)
    schedule = dm.Schedule(context)
    dataset = dm.Dataset.shapes(context, 32, 2048, seed=1)
    trainer = dm.Trainer(unet, schedule, dataset,
                         dm.TrainerOptions(batch_size=batch, learning_rate=1e-3, seed=1,
                                           precision=precision))
    return np.array([trainer.step().loss for _ in range(steps)])


def main():
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    batch = int(sys.argv[2]) if len(sys.argv) > 2 else 32
    losses = {p: train(p, steps, batch) for p in ("f32", "bf16")}
    print("| steps | float32 | bfloat16 | ratio |\n|---|---|---|---|")
    for part in range(10):
        low, high = part * steps // 10, (part + 1) * steps // 10
        a, b = (losses[p][low:high].mean() for p in ("f32", "bf16"))
        print(f"| {low + 1} to {high} | {a:.5f} | {b:.5f} | {b / a:.4f} |")
    a, b = (losses[p].mean() for p in ("f32", "bf16"))
    print(f"| all | {a:.5f} | {b:.5f} | {b / a:.4f} |")


if __name__ == "__main__":
    main()
