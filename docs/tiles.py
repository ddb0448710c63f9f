#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The picture of "Tiles" in docs/conditions.md. Needs numpy, Pillow and the Python package.

tiles.py data FOLDER           2000 crops of drawn pebbles, 16 x 16 pixels, that do not repeat
tiles.py draw FILE OUT.png     four images of the network trained on them, each repeated 3 x 3:
                               above without tiling, below with it, from the same noise
"""
import os
import sys

import numpy as np
from PIL import Image

SIZE, AREA, SPACING = 16, 200, 6


def pebbles(rng):
    """An area of pebbles, uint8 [AREA, AREA, 3]: cells around a jittered grid."""
    grid = np.arange(-SPACING, AREA + 2 * SPACING, SPACING)
    centres = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2) * 1.0
    centres += rng.uniform(-2.2, 2.2, centres.shape)
    colours = np.array([150, 120, 95]) + rng.normal(0, 28, (len(centres), 1))
    colours = colours + rng.normal(0, 14, (len(centres), 3))
    area = np.empty((AREA, AREA, 3))
    for y in range(AREA):
        pixels = np.stack([np.arange(AREA), np.full(AREA, y)], -1)
        distances = np.linalg.norm(pixels[:, None] - centres, axis=2)
        cell = distances.argmin(1)
        first, second = np.partition(distances, 1, axis=1)[:, :2].T
        inside = np.clip((second - first) / 1.6, 0, 1)[:, None]
        area[y] = colours[cell] * (1.12 - 0.06 * first[:, None]) * inside + 35 * (1 - inside)
    return area.clip(0, 255).astype(np.uint8)


def data(folder):
    rng = np.random.default_rng(1)
    os.makedirs(folder, exist_ok=True)
    for n in range(2000):
        if n % 50 == 0:
            area = pebbles(rng)
        y, x = rng.integers(0, AREA - SIZE, 2)
        Image.fromarray(area[y : y + SIZE, x : x + SIZE]).save(f"{folder}/{n:04}.png")


def draw(model, out):
    import libdiffusion as dm

    context = dm.Context()
    unet, schedule = dm.Unet.load(context, model), dm.Schedule.load(context, model)
    rows = []
    for tiled in (0, 1):
        unet.set_tiling(tiled, tiled)
        sampler = dm.Sampler(unet, schedule, solver="dpmpp", steps=20)
        images = (sampler.run(count=4, seed=1).clip(-1, 1) + 1) * 127.5
        across = np.abs(images[:, :, 0] - images[:, :, -1]).mean()
        inside = np.abs(np.diff(images, axis=2)).mean()
        print(f"tiling {tiled}: neighbours differ by {across:.1f} of 255 across the border, "
              f"by {inside:.1f} inside")
        margin = ((2, 2), (2, 2), (0, 0))
        tiles = [np.tile(image.round().astype(np.uint8), (3, 3, 1)) for image in images]
        rows.append(np.concatenate([np.pad(t, margin, constant_values=255) for t in tiles], 1))
    picture = Image.fromarray(np.concatenate(rows))
    picture.resize((picture.width * 3, picture.height * 3), Image.NEAREST).save(out, optimize=True)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "data":
        data(sys.argv[2])
    elif len(sys.argv) == 4 and sys.argv[1] == "draw":
        draw(*sys.argv[2:])
    else:
        sys.exit(__doc__)
