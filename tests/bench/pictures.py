#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reading a folder of pictures beside training on it: pictures a second, and peak memory.

pictures.py DIFFUSION FOLDER [SIZE [STEPS]]

The reader's rate is that of a run of one step that keeps all pictures decoded. Training is measured
with all of them decoded, and with a cache of 1 MB, so that nearly each one is decoded again while
training goes on; the rate of each is the median of the second half of its STEPS steps.
"""

import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time

BATCH = 64


def run(options):
    """Runs the program; its seconds and its peak memory in MB."""
    began = time.monotonic()
    command = [PROGRAM, "train", FOLDER, "--size", SIZE, "--samples", "0", "--no-pictures"]
    process = subprocess.Popen(command + options, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        sys.exit(f"{' '.join(command + options)}: failed")
    return time.monotonic() - began, usage.ru_maxrss / 1024


def training_rate(folder):
    with open(os.path.join(folder, "loss.csv"), encoding="utf-8") as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    return BATCH / statistics.median(seconds[len(seconds) // 2 :])


def main():
    names = [n for _, _, files in os.walk(FOLDER) for n in files]
    pictures = sum(n.lower().endswith((".png", ".jpg", ".jpeg")) for n in names)
    with tempfile.TemporaryDirectory() as out:
        one = ["--out", os.path.join(out, "one"), "--batch", str(BATCH), "--steps", "1"]
        seconds, memory = run([*one, "--cache", "1000000"])
        print(f"reading: {pictures / seconds:.0f} pictures a second, {memory:.0f} MB", flush=True)
        for cache in ("1000000", "1"):
            path = os.path.join(out, cache)
            options = ["--out", path, "--batch", str(BATCH), "--steps", STEPS, "--cache", cache]
            seconds, memory = run(options)
            print(
                f"training, --cache {cache}: {training_rate(path):.0f} pictures a second, "
                f"{memory:.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4, 5):
        sys.exit(f"usage: {sys.argv[0]} DIFFUSION FOLDER [SIZE [STEPS]]")
    PROGRAM, FOLDER = sys.argv[1:3]
    SIZE = sys.argv[3] if len(sys.argv) > 3 else "32"
    STEPS = sys.argv[4] if len(sys.argv) > 4 else "60"
    main()
