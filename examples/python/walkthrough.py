#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The library from end to end on one page: train a small network on drawn shapes, cancel, save,
load, and draw one image of each class with guidance.  walkthrough.py MODEL.safetensors OUT.png

The same program in C is examples/walkthrough.c; both write the same OUT.png, byte for byte."""
import sys

import libdiffusion as dm

SIZE, CLASSES, STEPS, CANCEL_AT = 16, 10, 300, 350


def show_errors(context: dm.Context) -> None:
    """What a program sees that passes a bad option, or the name of a missing file."""
    try:
        dm.Unet(context, norm_groups=30)
    except dm.InvalidArgument as error:
        print(f"{error.status_name}: {error}")
    try:
        dm.Unet.load(context, "missing.safetensors")
    except dm.NotFound as error:  # a FileNotFoundError, too
        print(f"{error.status_name}: {error}")


def on_step(stats: dm.TrainStats) -> bool:
    """Called after each step; true stops the run."""
    if stats.step % 50 == 0:
        print(f"step {stats.step}, loss {stats.loss:.4f}")
    return stats.step >= CANCEL_AT


def train(context: dm.Context, path: str) -> None:
    schedule = dm.Schedule(context)
    shapes = dm.Dataset.shapes(context, SIZE, count=1000, seed=1)
    unet = dm.Unet(context, height=SIZE, width=SIZE, levels=2, channels=[32, 64], blocks=[1, 1],
                   classes=CLASSES, seed=1)
    # label_dropout: so that guidance has a network without classes to start from.
    trainer = dm.Trainer(unet, schedule, shapes, batch_size=16, learning_rate=2e-3,
                         label_dropout=0.1)
    trainer.run(STEPS, on_step)
    try:
        trainer.run(1000, on_step)
    except dm.Cancelled:
        print(f"cancelled after step {trainer.steps_done}")
    trainer.save(path)


def sample(context: dm.Context, path: str, picture: str) -> None:
    unet = dm.Unet.load(context, path)
    schedule = dm.Schedule.load(context, path)
    sampler = dm.Sampler(unet, schedule, steps=20, guidance=2)
    images = sampler.run(labels=range(CLASSES), seed=7)
    dm.Picture(images, columns=5, scale=4).save(picture)


def main() -> int:
    if len(sys.argv) != 3:
        print("usage: walkthrough.py MODEL.safetensors OUT.png", file=sys.stderr)
        return 2
    try:
        with dm.Context() as context:
            show_errors(context)
            train(context, sys.argv[1])
            sample(context, sys.argv[1], sys.argv[2])
    except dm.Error as error:
        print(f"walkthrough: {error}", file=sys.stderr)
        return 1
    print(f"{sys.argv[1]} and {sys.argv[2]} are written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
