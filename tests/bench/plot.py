#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws what `bench --sweep` measured: cost against batch, and cost against area.

    plot.py [build/sweep.json [docs/images]]

Each figure shows the time of a training step and of a forward pass with the straight line through
the origin and the largest size, and the same per image (or per 1024 pixels of an image), which is
constant if the cost is linear.
"""

import json, sys
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, NullLocator

STEP, FORWARD, STEP_BARE, FORWARD_BARE, GRID, INK = (
    "#1f5fbf",
    "#e07b00",
    "#8fb4e6",
    "#f0bd80",
    "#e3e6ea",
    "#2b2f36",
)
plt.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "axes.edgecolor": "#9aa0a8",
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": GRID,
        "axes.axisbelow": True,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "legend.frameon": False,
        "lines.linewidth": 2,
        "lines.markersize": 5.5,
        "svg.hashsalt": "libdiffusion",
    }
)


class Line:
    """One line of the sweep: sizes, and milliseconds with their extremes."""

    def __init__(self, rows, name, size):
        self.rows = [r for r in rows if r["line"] == name]
        self.x = [size(r) for r in self.rows]

    def values(self, kind, each=None):
        """Medians and error bars in ms, divided by each(row)."""
        scale = [1e3 / (each(r) if each else 1) for r in self.rows]
        mid = [r[kind] * s for r, s in zip(self.rows, scale)]
        low = [m - r[kind + "_min"] * s for m, r, s in zip(mid, self.rows, scale)]
        high = [r[kind + "_max"] * s - m for m, r, s in zip(mid, self.rows, scale)]
        return mid, [low, high]


def curve(axes, line, kind, each, label, colour, straight=False):
    mid, spread = line.values(kind, each)
    axes.errorbar(
        line.x,
        mid,
        yerr=spread,
        label=label,
        color=colour,
        fmt="o-",
        ecolor=colour,
        elinewidth=1,
        capsize=2,
        markeredgecolor="white",
        markeredgewidth=0.8,
    )
    if straight:
        axes.plot(
            [0, line.x[-1]],
            [0, mid[-1]],
            color=colour,
            linewidth=1,
            linestyle=(0, (4, 3)),
            alpha=0.7,
        )


def figure(path, title, subtitle, curves, each, texts, ticks):
    fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.3), dpi=160)
    for line, kind, label, colour in curves:
        curve(left, line, kind, None, label, colour, straight=True)
        curve(right, line, kind, each, label, colour)
    left.plot(
        [], [], color="#7d838c", linewidth=1, linestyle=(0, (4, 3)), label="straight through 0"
    )
    left.set(title="Time", xlabel=texts[0], ylabel="ms", xlim=0, ylim=0)
    left.locator_params(axis="x", nbins=6)
    left.legend(loc="upper left")
    right.set(title=texts[2], xlabel=texts[1], ylabel="ms", xscale="log", ylim=(0, None))
    right.set_ylim(0, 1.05 * right.get_ylim()[1])
    right.set_xticks([t[0] for t in ticks], [t[1] for t in ticks])
    right.xaxis.set_minor_locator(NullLocator())
    for axis in (left.xaxis, left.yaxis, right.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.6g}"))
    fig.text(0.012, 0.965, title, fontsize=13, fontweight="bold", va="top")
    fig.text(0.012, 0.905, subtitle, fontsize=9, color="#6a707a", va="top")
    fig.tight_layout(rect=(0, 0, 1, 0.87), w_pad=3)
    fig.savefig(path, metadata={"Software": None})
    plt.close(fig)
    print(path)


def main():
    source = sys.argv[1] if len(sys.argv) > 1 else "build/sweep.json"
    folder = sys.argv[2] if len(sys.argv) > 2 else "docs/images"
    with open(source) as f:
        rows = json.load(f)
    first = rows[0]
    about = (
        f"DDPM's U-Net of base {first['base']}, {first['threads']} threads; "
        f"medians of {first['runs']}, "
        "bars from smallest to largest"
    )
    batch = Line(rows, "batch", lambda r: r["batch"])
    figure(
        f"{folder}/cost-batch.png",
        "Cost against batch",
        f"{about}; 32x32",
        [(batch, "step", "training step", STEP), (batch, "forward", "forward pass", FORWARD)],
        lambda r: r["batch"],
        ("images in a batch", "images in a batch", "Time per image"),
        [(n, str(n)) for n in (1, 2, 4, 8, 16, 32, 64)],
    )
    area = Line(rows, "area", lambda r: r["size"] ** 2)
    bare = Line(rows, "area without attention", lambda r: r["size"] ** 2)
    images = area.rows[0]["batch"]
    figure(
        f"{folder}/cost-area.png",
        "Cost against area",
        f"{about}; batch {images}; 16x16 to 128x128",
        [
            (area, "step", "training step", STEP),
            (bare, "step", "training step, no attention", STEP_BARE),
            (area, "forward", "forward pass", FORWARD),
            (bare, "forward", "forward pass, no attention", FORWARD_BARE),
        ],
        lambda r: r["batch"] * r["size"] ** 2 / 1024,
        ("pixels of an image", "image", "Time per 1024 pixels"),
        [(s * s, f"{s}²") for s in (16, 24, 32, 48, 64, 96, 128)],
    )


if __name__ == "__main__":
    main()
