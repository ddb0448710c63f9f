#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The curve of a training run's losses, as in docs/networks.md. Needs matplotlib.

loss.py FOLDER/loss.csv OUT.png
"""

import csv
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

MEAN = 100  # steps


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    steps = range(1, len(losses) + 1)
    means = [sum(losses[max(0, i - MEAN) : i]) / min(i, MEAN) for i in steps]
    figure, axes = plt.subplots(figsize=(6.4, 3.2), dpi=110)
    axes.semilogy(steps, losses, color="#c9d4e3", linewidth=0.5, label="of a step")
    axes.semilogy(steps, means, color="#1f4e8c", linewidth=1.5, label=f"mean of {MEAN} steps")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.set_yticks([0.05, 0.1, 0.2, 0.5, 1], ["0.05", "0.1", "0.2", "0.5", "1"])
    axes.minorticks_off()
    axes.set_xlim(0, len(losses))
    axes.grid(color="#eeeeee")
    axes.legend(frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(sys.argv[2])


if __name__ == "__main__":
    main()
