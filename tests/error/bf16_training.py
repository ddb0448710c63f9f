#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The loss of training with bfloat16 beside that of float32, from the same weights, images, noise
and timesteps.

    bf16_training.py [STEPS [BATCH [SEEDS [RATE]]]]     1000 16 3 1e-4: of the built-in shapes

Two runs drift apart by chance, whatever first differs: so a third one, in float32 too, begins with
weights that are changed by a millionth. Prints the mean losses of each tenth of the steps, over
float32's, of all seeds together, and of each seed over all steps.
"""
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "examples", "python", "src"))
import libdiffusion as dm  # noqa: E402

KINDS = ("float32", "float32, changed", "bfloat16")


def train(kind, steps, batch, seed, rate):
    context = dm.Context()
    unet = dm.Unet(context, dm.UnetOptions(levels=3, channels=[32, 64, 64], blocks=[1, 1, 1],
                                           norm_groups=8), seed=seed)
    if kind == "float32, changed":
        name = "conv_in.weight"
        unet.set_tensor(name, unet.get_tensor(name) * np.float32(1 + 1e-6))
    schedule = dm.Schedule(context)
    dataset = dm.Dataset.shapes(context, 32, 2048, seed=seed)
    trainer = dm.Trainer(unet, schedule, dataset,
                         dm.TrainerOptions(batch_size=batch, learning_rate=rate, seed=seed,
                                           precision="bf16" if kind == "bfloat16" else "f32"))
    return np.array([trainer.step().loss for _ in range(steps)])


def main():
    numbers = [float(text) for text in sys.argv[1:]]
    steps, batch, seeds, rate = (numbers + [1000, 16, 3, 1e-4][len(numbers):])[:4]
    steps, batch, seeds = int(steps), int(batch), int(seeds)
    losses = {kind: np.array([train(kind, steps, batch, seed, rate)
                              for seed in range(1, seeds + 1)])
              for kind in KINDS}
    print("| steps | float32 | float32, changed | ratio | bfloat16 | ratio |")
    print("|---|---|---|---|---|---|")
    parts = [(i * steps // 10, (i + 1) * steps // 10) for i in range(10)] + [(0, steps)]
    for low, high in parts:
        a, b, c = (losses[kind][:, low:high].mean() for kind in KINDS)
        print(f"| {low + 1} to {high} | {a:.5f} | {b:.5f} | {b / a:.4f} | {c:.5f} | {c / a:.4f} |")
    print("\nof all steps, by seed:")
    for i in range(seeds):
        a, b, c = (losses[kind][i].mean() for kind in KINDS)
        print(f"  seed {i + 1}: changed {b / a:.4f}, bfloat16 {c / a:.4f}")


if __name__ == "__main__":
    main()
