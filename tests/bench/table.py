#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of docs/performance.md from bench.json.  table.py [build/bench.json]

One line for each setting: the library's time over that of the fastest peer, in the same precision,
with the peer, and in brackets the smallest and largest ratio of the rounds. Bold: above its target.
"""
import json
import sys

COLUMNS = [("train_step", "fp32", "fp32", "step"), ("train_step", "bf16", "bf16", "step, bf16"),
           ("forward", "fp32", "fp32", "forward"), ("forward", "bf16", "bf16", "forward, bf16"),
           ("ddim50", "fp32", "fp32", "DDIM"), ("memory", "fp32", "fp32", "memory"),
           ("memory", "bf16", "bf16", "memory, bf16")]
SHORT = {"channels_last": "torch", "eager": "torch", "compile": "torch", "autocast": "torch",
         "onnxruntime": "ort", "openvino": "ov", "openvino_bf16": "ov"}


def cell(row):
    if row is None or row["ratio"] is None:
        return "-"
    text = f"{row['ratio']:.2f}"
    if row["met"] is False:
        text = f"**{text}**"
    if row["name"] == "memory":
        return text
    spread = f" ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})" if row["runs"] > 1 else ""
    return f"{text}{spread} {SHORT[row['peer_mode']]}"


def main():
    with open(sys.argv[1] if len(sys.argv) > 1 else "build/bench.json", encoding="utf-8") as file:
        data = json.load(file)
    rows = data["rows"] if isinstance(data, dict) else data
    settings = list(dict.fromkeys((r["base"], r["batch"], r["size"]) for r in rows))
    print("| base, batch, size | " + " | ".join(c[3] for c in COLUMNS) + " | ping-pong |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for setting in settings:
        mine = [r for r in rows if (r["base"], r["batch"], r["size"]) == setting]
        cells = []
        for name, own, other, _ in COLUMNS:
            found = [r for r in mine if (r["name"], r["precision"], r["peer_precision"]) ==
                     (name, own, other)]
            cells.append(cell(found[0] if found else None))
        print(f"| {setting[0]}, {setting[1]}, {setting[2]}x{setting[2]} | " + " | ".join(cells) +
              f" | {mine[0]['pingpong_ns']:.0f} ns |")


if __name__ == "__main__":
    main()
