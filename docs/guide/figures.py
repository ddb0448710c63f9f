#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The pictures and tables of the guide that the installed model makes. Needs numpy and Pillow.

figures.py DIFFUSION CIFAR10 OUT    CIFAR10: the folder of the "binary version"

Writes starter.png (of the README), first.png, steps.png, guidance.png and strength.png into OUT and
prints the tables of pages 5 and 6. Some ten minutes on two cores, most of them for the distances.
"""

import csv
import os
import subprocess
import sys

import numpy as np
from PIL import Image

SHIP = 8  # the label
COUNT = 1000  # images of a distance


def diffusion(command, options):
    """Runs the program in the folder OUT."""
    subprocess.run(
        [PROGRAM, command, *options.split()], check=True, cwd=OUT, stdout=subprocess.DEVNULL
    )


def sample(path, options):
    diffusion("sample", f"--out {path} --no-pictures {options}")


def load(name):
    return Image.open(os.path.join(OUT, name)).convert("RGB")


def ships():
    """The test set's ships, uint8 [1000, 32, 32, 3]."""
    rows = np.fromfile(os.path.join(CIFAR10, "test_batch.bin"), np.uint8).reshape(-1, 3073)
    return rows[rows[:, 0] == SHIP, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def draw_guidance():
    rows = []
    for guidance in (1, 2, 4, 8):
        sample("row.png", f"--class ship --count 4 --columns 4 --guidance {guidance}")
        rows.append(load("row.png"))
    size = rows[0].size
    whole = Image.new("RGB", (size[0], len(rows) * size[1]))
    for y, row in enumerate(rows):
        whole.paste(row, (0, y * size[1]))
    whole.save(os.path.join(OUT, "guidance.png"))


def draw_strengths():
    """Two photographs, and what is drawn from each at four strengths, enlarged four times."""
    whole = Image.new("RGB", (5 * 130 + 2, 2 * 130 + 2))
    for y, index in enumerate((9, 17)):
        photograph = Image.fromarray(ships()[index])
        photograph.save(os.path.join(OUT, "photograph.png"))
        images = [photograph]
        for strength in (0.2, 0.4, 0.6, 0.8):
            options = f"--class ship --image photograph.png --strength {strength} --count 1"
            sample("drawn.png", f"{options} --each .")
            images.append(load("00000.png"))
        for x, image in enumerate(images):
            whole.paste(image.resize((128, 128), Image.NEAREST), (2 + 130 * x, 2 + 130 * y))
    whole.save(os.path.join(OUT, "strength.png"))


def distance(options):
    """The Frechet distance of COUNT samples to the test set."""
    table = os.path.join(OUT, "distance.csv")
    if os.path.exists(table):
        os.remove(table)
    diffusion("distance", f"--data {CIFAR10} --count {COUNT} --table distance.csv {options}")
    with open(table, encoding="utf-8") as file:
        return float(next(csv.reader(file))[4])


def arrays(options):
    diffusion("sample", f"--class ship --guidance 1 --count 32 --npz a.npz --no-pictures {options}")
    return np.load(os.path.join(OUT, "a.npz"))["arr_0"].astype(float)


def print_row(title, values):
    print(f"| {title} | " + " | ".join(f"{v:.1f}" for v in values) + " |", flush=True)


def print_tables():
    print("\n| | distance |\n|---|---|")
    for guidance in (1, 2, 4):
        print_row(f"guidance {guidance}", [distance(f"--guidance {guidance}")])
    print_row("other photographs in place of samples", [distance("--real")])
    print("\n| steps | 5 | 10 | 20 | 50 |\n|---|---|---|---|---|")
    exact = arrays("--solver unipc --steps 200")
    for solver in ("ddim", "dpmpp", "unipc"):
        drawn = [arrays(f"--solver {solver} --steps {n}") for n in (5, 10, 20, 50)]
        print_row(f"`{solver}`", [np.abs(d - exact).mean() for d in drawn])
    print("\n| steps | 5 | 10 | 20 |\n|---|---|---|---|")
    for solver in ("ddim", "dpmpp", "unipc"):
        options = f"--guidance 1 --solver {solver}"
        print_row(f"`{solver}`", [distance(f"{options} --steps {n}") for n in (5, 10, 20)])


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(f"usage: {sys.argv[0]} DIFFUSION CIFAR10 OUT")
    PROGRAM, CIFAR10, OUT = (os.path.abspath(path) for path in sys.argv[1:])
    os.makedirs(OUT, exist_ok=True)
    sample("starter.png", "--class rows")
    sample("first.png", "")
    sample("steps.png", "--class ship --count 4 --columns 4 --steps 5,10,20,50")
    draw_guidance()
    draw_strengths()
    print_tables()
