# SPDX-License-Identifier: MIT
"""Convolutions beside PyTorch: runs build/bench --operations and the same cases in PyTorch, in
turn, and prints medians and their ratio. peer_operations.py [BENCH] [ROUNDS]"""
import os
import re
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F


def case_of(name):
    """(function of x, weight and bias; x; weight; bias) of a line of the benchmark."""
    n = [int(v) for v in re.findall(r"\d+", name)]
    batch = n[-1]
    if name.startswith("depthwise"):
        c, side = n[2], n[3]
        return ((lambda x, w, b: F.conv2d(x, w, b, padding=3, groups=c)),
                (batch, c, side, side), (c, 1, 7, 7), c)
    if name.startswith("transposed"):
        c, side = n[2], n[3]
        return ((lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1)),
                (batch, c, side, side), (c, c, 4, 4), c)
    i, o, side = n[2], n[3], n[4]
    return ((lambda x, w, b: F.conv2d(x, w, b, padding=3)),
            (batch, i, side, side), (o, i, 7, 7), o)


def measure(name, channels_last, runs):
    """Median milliseconds forward and backward, in that memory format."""
    f, x_shape, w_shape, out = case_of(name)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x = torch.rand(x_shape).contiguous(memory_format=layout).requires_grad_()
    w = torch.rand(w_shape).contiguous(memory_format=layout).requires_grad_()
    b = torch.rand(out).requires_grad_()
    times = [[], []]
    for _ in range(runs + 2):
        start = time.perf_counter()
        y = f(x, w, b)
        middle = time.perf_counter()
        y.backward(torch.ones_like(y))
        times[0].append(middle - start)
        times[1].append(time.perf_counter() - middle)
    return [statistics.median(t[2:]) * 1e3 for t in times]


def main():
    bench = sys.argv[1] if len(sys.argv) > 1 else "build/bench"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    torch.set_num_threads(os.cpu_count())
    ours, theirs = {}, {}
    for _ in range(rounds):
        text = subprocess.run([bench, "--operations", "--runs", "15"], check=True,
                              capture_output=True, text=True).stdout
        for line in text.splitlines():
            forward, backward, name = line.split(" ", 2)
            ours.setdefault(name, []).append((float(forward), float(backward)))
        for name in ours:
            theirs.setdefault(name, []).append([measure(name, last, 10) for last in (False, True)])
    print("milliseconds: libdiffusion, PyTorch (the faster of its memory formats), ratio")
    for name, values in ours.items():
        words = []
        for k, what in enumerate(("forward", "backward")):
            mine = statistics.median(v[k] for v in values)
            peer = min(statistics.median(v[layout][k] for v in theirs[name]) for layout in (0, 1))
            words.append(f"{what} {mine:.2f}, {peer:.2f}, {mine / peer:.2f}")
        print(f"{name}: {'; '.join(words)}", flush=True)


if __name__ == "__main__":
    main()
