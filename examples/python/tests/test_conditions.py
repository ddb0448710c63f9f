# SPDX-License-Identifier: MIT
"""Networks with a condition image and a condition vector: data, training, sampling."""
import unittest

import numpy as np
from support import Case

import libdiffusion as dm

COUNT, SIZE, CHANNELS, NUMBERS = 6, 8, 2, 4


class Conditions(Case):
    def setUp(self):
        super().setUp()
        random = np.random.default_rng(1)
        self.images = random.integers(0, 256, (COUNT, SIZE, SIZE, CHANNELS)).astype(np.uint8)
        self.vectors = random.standard_normal((COUNT, NUMBERS)).astype(np.float32)
        self.condition_image = random.standard_normal((3, SIZE, SIZE, CHANNELS)).astype(np.float32)
        self.unet = dm.Unet(self.context, height=SIZE, width=SIZE, levels=2, channels=[8, 8],
                            blocks=[1, 1], attention=[0, 0], norm_groups=4,
                            condition_channels=CHANNELS, condition_size=NUMBERS)

    def dataset(self, **members):
        pixels = np.arange(COUNT * SIZE * SIZE * 3, dtype=np.uint32).astype(np.uint8)
        return dm.Dataset.from_arrays(self.context, pixels.reshape(COUNT, SIZE, SIZE, 3),
                                      condition_images=self.images,
                                      condition_vectors=self.vectors, **members)

    def test_datasets(self):
        data = self.dataset(vector_invariant=True)
        info = data.info
        self.assertEqual((info.condition_channels, info.condition_size, info.vector_invariant),
                         (CHANNELS, NUMBERS, 1))
        image, vector = data.condition(4)
        np.testing.assert_array_equal(image, self.images[4])
        np.testing.assert_array_equal(vector, self.vectors[4])
        shapes = dm.Dataset.described_shapes(self.context, 16, 10)
        self.assertIsNone(shapes.condition(0)[0])
        self.assertEqual(shapes.condition(0)[1].shape, (6,))
        half = shapes.downscaled(2)
        self.assertEqual(half.condition(3)[0].shape, (16, 16, 3))
        np.testing.assert_array_equal(half[3][0], shapes[3][0])
        with self.assertRaisesRegex(dm.Error, "'factor' is 3"):
            shapes.downscaled(3)
        with self.assertRaisesRegex(dm.Error, "no condition image|must be"):
            dm.Dataset.from_arrays(self.context, np.zeros((2, 8, 8, 3), np.uint8),
                                   condition_vectors=np.zeros((3, 4), np.float32))

    def test_functions(self):
        pixels = np.full((SIZE, SIZE, 3), 9, np.uint8)
        sizes = {"condition_channels": CHANNELS, "condition_size": NUMBERS}
        data = dm.Dataset.from_function(
            self.context, lambda index: (pixels, 3, self.images[index], self.vectors[index]),
            COUNT, pixels.shape, vector_invariant=True, **sizes)
        self.assertEqual(data.info.vector_invariant, 1)
        image, vector = data.condition(4)
        np.testing.assert_array_equal(image, self.images[4])
        np.testing.assert_array_equal(vector, self.vectors[4])
        np.testing.assert_array_equal(data[4][0], pixels)
        self.assertEqual(data[4][1], 3)
        for result in (pixels, (pixels, 3), (pixels, 3, self.images[0], self.vectors[0][:2]),
                       (pixels, 3, None, self.vectors[0])):
            wrong = dm.Dataset.from_function(self.context, lambda index, given=result: given,
                                             COUNT, pixels.shape, **sizes)
            with self.assertRaises((ValueError, TypeError)):
                wrong[0]

    def test_training_and_sampling(self):
        schedule, data = dm.Schedule(self.context), self.dataset()
        trainer = dm.Trainer(self.unet, schedule, data, batch_size=3, condition_dropout=0.2)
        trainer.run(2)
        trainer.step_batch(np.zeros((3, SIZE, SIZE, 3), np.float32),
                           condition_image=self.condition_image, condition_vector=self.vectors[:3])
        with self.assertRaises(dm.ShapeMismatch):
            trainer.step_batch(np.zeros((3, SIZE, SIZE, 3), np.float32),
                               condition_vector=self.vectors)
        sampler = dm.Sampler(self.unet, schedule, steps=2, guidance=2)
        conditions = {"condition_image": self.condition_image,
                      "condition_vector": self.vectors[:3]}
        images = sampler.run(**conditions)
        self.assertEqual(images.shape, (3, SIZE, SIZE, 3))
        conditions["condition_vector"] = self.vectors[1:4]
        self.assertTrue((sampler.run(**conditions) != images).any())
        x = np.zeros((3, SIZE, SIZE, 3), np.float32)
        plain = self.unet.forward(x, 1)
        np.testing.assert_array_equal(
            plain, self.unet.forward(x, 1, condition_vector=np.zeros((3, NUMBERS))))
        self.assertTrue((plain != self.unet.forward(x, 1, **conditions)).any())

    def test_denoiser(self):
        seen = []

        def evaluate(given):
            seen.append((given.condition_image, given.condition_vector))
            return np.zeros_like(given.x)

        denoiser = dm.Denoiser(evaluate=evaluate, height=SIZE, width=SIZE, channels=3,
                               condition_channels=CHANNELS, condition_size=NUMBERS)
        sampler = dm.Sampler.from_denoiser(self.context, dm.Schedule(self.context), denoiser,
                                           steps=1)
        sampler.run(condition_image=self.condition_image)
        np.testing.assert_array_equal(seen[0][0], self.condition_image)
        self.assertIsNone(seen[0][1])

    def test_consistency(self):
        schedule = dm.Schedule(self.context, kind="edm", time_scale=1000)
        denoiser = dm.Denoiser(evaluate=lambda given: np.zeros_like(given.x), height=SIZE,
                               width=SIZE, channels=3, prediction="consistency")
        sampler = dm.Sampler.from_denoiser(self.context, schedule, denoiser, steps=2,
                                           solver=dm.Solver.CONSISTENCY)
        self.assertEqual(sampler.run(count=2).shape, (2, SIZE, SIZE, 3))

    def test_distillation(self):
        members = {"height": SIZE, "width": SIZE, "levels": 1, "channels": [8], "blocks": [1],
                   "attention": [0], "norm_groups": 4, "prediction": dm.Prediction.V}
        student, teacher = (dm.Unet(self.context, **members) for _ in range(2))
        trainer = dm.Trainer(student, dm.Schedule(self.context), self.dataset(), batch_size=2,
                             distill_steps=8, loss_weight=dm.LossWeight.TRUNCATED_SNR)
        with self.assertRaises(dm.WrongState):
            trainer.step()
        trainer.set_teacher(teacher)
        with self.assertRaises(dm.WrongState):
            trainer.set_teacher(teacher)
        teacher.close()
        self.assertEqual(trainer.step().step, 1)


if __name__ == "__main__":
    unittest.main()
