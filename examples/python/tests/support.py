# SPDX-License-Identifier: MIT
"""Small objects that the tests share."""
import unittest

import numpy as np

import libdiffusion as dm

SIZE = 8
NETWORK = dict(height=SIZE, width=SIZE, levels=1, channels=[32], blocks=[1], attention=[0],
               mid_attention=0, classes=3)


class Case(unittest.TestCase):
    """Each test has a context of its own."""

    def setUp(self):
        self.notes = []
        self.context = dm.Context(threads=1, log=lambda level, text: self.notes.append(text))
        self.addCleanup(self.context.close)

    def schedule(self, **members):
        return dm.Schedule(self.context, **members)

    def unet(self, seed=1, **members):
        return dm.Unet(self.context, seed=seed, **{**NETWORK, **members})

    def pixels(self, count=6):
        generator = np.random.default_rng(3)
        return (generator.integers(0, 256, (count, SIZE, SIZE, 3)).astype(np.uint8),
                (np.arange(count) % 3).astype(np.int32))

    def dataset(self, count=6):
        return dm.Dataset.from_arrays(self.context, *self.pixels(count))

    def trainer(self, unet=None, dataset=None, **members):
        return dm.Trainer(unet or self.unet(), self.schedule(), dataset or self.dataset(),
                          **{**dict(batch_size=2, learning_rate=1e-3), **members})

    def sampler(self, unet=None, **members):
        return dm.Sampler(unet or self.unet(), self.schedule(), **{**dict(steps=4), **members})

    def same(self, a, b):
        self.assertEqual(np.asarray(a).tobytes(), np.asarray(b).tobytes())
