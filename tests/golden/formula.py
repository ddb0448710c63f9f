# SPDX-License-Identifier: MIT
"""Numbers that tests in C and the generators of the golden files both generate, so that only
results need to be stored.

fill() is test_fill() of tests/support/support.h, bit for bit. Seeds are hashes of names, so that no
list of them can fall out of step: the tensor "conv/dy" has the seed fnv1a("conv/dy") on both sides.
"""

import math

import numpy as np

_MASK = (1 << 64) - 1


def fnv1a(name):
    """FNV-1a, 64 bits, of the name's bytes."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & _MASK
    return h


def mix(seed, count):
    """32 random bits for each i below count."""
    i = np.arange(count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = i * np.uint64(0x9E3779B97F4A7C15) + np.uint64(
            (seed * 0xD1B54A32D192ED03 + 0x2545F4914F6CDD1D) & _MASK
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) >> np.uint64(32)


def fill(name, shape, scale=1.0):
    """float32 array, uniform in [-scale, scale); name may be a seed."""
    seed = name if isinstance(name, int) else fnv1a(name)
    count = int(np.prod(shape, dtype=np.int64))
    values = float(np.float32(scale)) * (mix(seed, count).astype(np.float64) / 2147483648.0 - 1.0)
    return values.astype(np.float32).reshape(shape)


def weight(name, shape):
    """A network's parameter, as golden_weight() in tests/golden/golden.h makes it: norm gains 1 +
    0.2 u, biases 0.1 u, the class embedding u, all other weights sqrt(3 / fan_in) u (variance 1 /
    fan_in), with u = fill(name)."""
    if len(shape) == 1 and name.endswith(".weight"):
        return np.float32(1) + fill(name, shape, 0.2)
    if len(shape) == 1:
        return fill(name, shape, 0.1)
    if name == "class_embedding.weight":
        return fill(name, shape, 1.0)
    return fill(name, shape, math.sqrt(3.0 / math.prod(shape[1:])))


def whole(name, count, limit):
    """int32, uniform from 0 to limit-1: fill(name) scaled and rounded down."""
    return np.minimum((fill(name, (count,)).astype(np.float64) + 1) / 2 * limit, limit - 1).astype(
        np.int32
    )


SAMPLES = 8


def digest(name, values):
    """The digest of a tensor that is too large to store: its norm, its product with fill("digest/"
    + name), and 8 of its elements, those at (count - 1) k / 7 rounded down. float32 [10]."""
    v = np.asarray(values, dtype=np.float64).reshape(-1)
    at = [(v.size - 1) * k // (SAMPLES - 1) for k in range(SAMPLES)]
    product = float(v @ fill("digest/" + name, v.shape).astype(np.float64))
    return np.array([np.linalg.norm(v), product, *v[at]], dtype=np.float32)
