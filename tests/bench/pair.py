#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two builds of the library beside each other: a training step and a forward pass.

    pair.py BEFORE AFTER [--base 64] [--batch 16] [--size 32] [--threads 2] [--rounds 15]

BEFORE and AFTER are the programs build/bench of two checkouts (make build/bench). Both stay alive
and take turns, each first in every other round, so that the machine's speed may drift. Printed are
the medians, and the median, least and largest of the rounds' ratios AFTER / BEFORE.
"""

import argparse
import json
import statistics
import subprocess
import time

REST = 0.1  # seconds, since threads spin for a while before they sleep


class Build:
    def __init__(self, program, options):
        command = [program, "--worker"]
        for name in ("base", "batch", "size", "threads"):
            command += [f"--{name}", str(getattr(options, name))]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.process.stdout.readline()  # it is ready

    def value(self, request, key):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline()).get(key)

    def seconds(self, request):
        return self.value(request, "seconds")

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before")
    parser.add_argument("after")
    for name, default in (("base", 64), ("batch", 16), ("size", 32), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    builds = [Build(options.before, options), Build(options.after, options)]
    for request in ("step", "forward"):
        times = [[], []]
        for number in range(options.rounds + 1):  # the first is not counted
            for i in (0, 1) if number % 2 else (1, 0):
                times[i].append(builds[i].seconds(request))
                time.sleep(REST)
        before, after = times[0][1:], times[1][1:]
        trips = [f"{builds[1].value('pingpong', 'ns') or 0:.0f}" for _ in range(3)]
        ratios = [a / b for a, b in zip(after, before)]
        print(
            f"{request}: {1e3 * statistics.median(before):.1f} ms and "
            f"{1e3 * statistics.median(after):.1f} ms, ratio {statistics.median(ratios):.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f}); a cache line between threads and back: "
            f"{', '.join(trips)} ns"
        )
    for build in builds:
        build.end()


if __name__ == "__main__":
    main()
