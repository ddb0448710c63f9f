# SPDX-License-Identifier: MIT
"""Prints the figures that test_measure.c compares with, from definitions in double precision.

Needs NumPy. Run from the root of the repository: python3 tests/program/make_measures.py
"""

import pathlib
import sys

import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "golden"))
from formula import fill

FEATURES = 128
NEIGHBOURS = 3
_MASK = (1 << 64) - 1


def make_set(seed, count, shift):
    """As make_set() of test_measure.c."""
    noise = fill(seed, (count, FEATURES), 0.3)
    common = fill(seed + 1, (count, 1))
    f = np.arange(FEATURES)
    values = noise + (f % 3 - 1).astype(np.float32) * common
    return (values + (f % 2).astype(np.float32) * np.float32(shift)).astype(np.float64)


def root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


def frechet(a, b):
    ca, cb = np.cov(a.T, bias=True), np.cov(b.T, bias=True)
    half = root(ca)
    trace = np.trace(ca + cb) - 2 * np.trace(root(half @ cb @ half))
    return 1000 * (np.sum((a.mean(0) - b.mean(0)) ** 2) + trace)


def standardise(values, reference):
    deviation = reference.std(0)
    least = 0.1 * np.sqrt(np.mean(deviation**2))
    return (values - reference.mean(0)) / np.maximum(deviation, least)


def mmd(a, b):
    def kernel(x, y):
        return (x @ y.T / FEATURES + 1) ** 3

    def mean_of_others(x):
        k, n = kernel(x, x), len(x)
        return (k.sum() - np.trace(k)) / (n * (n - 1))

    return mean_of_others(a) + mean_of_others(b) - 2 * kernel(a, b).mean()


def random_order(count):
    state, order = count, [0] * count
    for i in range(count):
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        k = (z ^ (z >> 31)) % (i + 1)
        order[i], order[k] = order[k], i
    return order


def mmd_error(a, b):
    least = min(len(a), len(b))
    size = max(2, min(1000, least // 10))
    order_a, order_b = random_order(len(a)), random_order(len(b))
    parts = [slice(i * size, (i + 1) * size) for i in range(least // size)]
    values = [mmd(a[order_a[part]], b[order_b[part]]) for part in parts]
    return np.std(values, ddof=1) / np.sqrt(len(values))


def share_among(x, reference):
    def distances(p, q):
        return np.sqrt(((p[:, None] - q[None]) ** 2).sum(-1))

    # The nearest of all is the picture itself.
    radius = np.sort(distances(reference, reference), 1)[:, NEIGHBOURS]
    return np.mean((distances(x, reference) <= radius).any(1))


def main():
    data, samples = make_set(1, 48, 0), make_set(3, 40, 0.125)
    print(f"frechet   {frechet(data, samples):.10f}")
    data, samples = standardise(data, data), standardise(samples, data)
    print(f"kernel    {mmd(data, samples):.10f}")
    print(f"error     {mmd_error(data, samples):.10f}")
    print(f"precision {share_among(samples, data):.10f}")
    print(f"recall    {share_among(data, samples):.10f}")


if __name__ == "__main__":
    main()
