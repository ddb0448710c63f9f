# SPDX-License-Identifier: MIT
"""Names of classes, runs that go on with other options, what files say about training, and what a
dataset is told while it trains."""
import math
import os
import tempfile
import unittest

import numpy as np

import libdiffusion as dm
from support import SIZE, Case

NAMES = ["cat", "élan", "a \"fast\" car"]


class Reading:
    """A source of six black images, and what it was asked for."""

    def __init__(self):
        self.read, self.epochs, self.told = [], [], []

    def __call__(self, index, epoch):
        self.read.append(index)
        self.epochs.append(epoch)
        return np.zeros((SIZE, SIZE, 3), np.uint8), index % 3

    def prefetch(self, indices):
        assert not self.told or len(self.told) == len(self.read)
        self.told += indices

    def dataset(self, context, **members):
        return dm.Dataset.from_function(
            context, self, 6, (SIZE, SIZE, 3),
            **{**dict(classes=3, with_epoch=True, prefetch=self.prefetch), **members})


class Folder(Case):
    """Each test has a path for a file."""

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "model.safetensors")

    def names(self, of):
        return [of.class_name(label) for label in range(3)]


class ClassNames(Folder):
    def test_files_and_shares(self):
        unet = self.unet()
        self.assertEqual(self.names(unet), [None] * 3)
        unet.set_class_names(NAMES)
        self.assertEqual(self.names(unet), NAMES)
        for label in (-1, 3, 1 << 40):
            self.assertIsNone(unet.class_name(label))
        unet.save(self.path)
        self.assertEqual(self.names(dm.Unet.load(self.context, self.path)), NAMES)
        self.assertEqual(self.names(dm.Unet.from_bytes(self.context, unet.to_bytes())), NAMES)
        with dm.Context(threads=1) as other, unet.share(other) as share:
            self.assertEqual(self.names(share), NAMES)
            with self.assertRaisesRegex(dm.WrongState, "shared"):
                unet.set_class_names(None)
        unet.set_class_names([])
        self.assertEqual(self.names(unet), [None] * 3)

    def test_refusals(self):
        unet = self.unet()
        unet.set_class_names(NAMES)
        for bad, kind in ((NAMES[:2], dm.ShapeMismatch), (["a", "", "c"], dm.InvalidArgument),
                          (["a", "b\n", "c"], dm.InvalidArgument), (["a", "b", "c\0"], ValueError),
                          (["a", "b", "\ud800"], ValueError), (["a", "b", 3], TypeError),
                          ("abc", TypeError)):
            with self.assertRaises(kind):
                unet.set_class_names(bad)
        self.assertEqual(self.names(unet), NAMES)
        with self.assertRaises(dm.ShapeMismatch):
            Reading().dataset(self.context, class_names=NAMES[:2])
        with self.assertRaises(TypeError):
            Reading().dataset(self.context, class_names=[1, 2, 3])

    def test_data(self):
        pixels, labels = self.pixels()
        several = dm.Dataset.from_arrays(self.context, pixels, labels,
                                         class_names=[*NAMES, "without images"])
        self.assertEqual((several.info.classes, several.class_name(3)), (4, "without images"))
        listed = dm.Dataset.from_sequence(self.context, list(pixels), classes=3,
                                          class_names=NAMES)
        self.assertEqual(self.names(listed), NAMES)
        dataset = Reading().dataset(self.context, class_names=NAMES)
        unet = self.unet()
        trainer = self.trainer(unet, dataset)
        self.assertEqual(self.names(unet), NAMES)
        with self.assertRaises(dm.WrongState):
            unet.set_class_names(None)
        trainer.save(self.path)
        self.assertEqual(self.names(dm.Unet.load(self.context, self.path)), NAMES)
        self.assertEqual(self.names(trainer.get_ema()), NAMES)
        seen = []
        trainer.run(1, lambda stats: seen.append(unet.class_name(1)))
        self.assertEqual(seen, NAMES[1:2])


class Reads(Folder):
    def test_prefetch_and_epochs(self):
        reading = Reading()
        trainer, seen = self.trainer(dataset=reading.dataset(self.context)), []
        trainer.run(7, seen.append)
        self.assertEqual(len(reading.read), 14)
        self.assertEqual(reading.told[:14], reading.read)
        self.assertEqual(len(reading.told), 16)
        self.assertEqual(reading.epochs, [i // 6 for i in range(14)])
        for stats in seen:
            self.assertEqual(sum(stats.quarter_images), 2)
            self.assertTrue(all(math.isfinite(loss) for loss in stats.quarter_loss))
            self.assertEqual([loss > 0 for loss in stats.quarter_loss],
                             [images > 0 for images in stats.quarter_images])

    def test_images_that_are_asked_for(self):
        reading = Reading()
        dataset = reading.dataset(self.context)
        self.assertEqual((dataset[4][1], reading.read, reading.epochs, reading.told),
                         (1, [4], [0], []))

    def test_failures(self):
        def fail(indices):
            raise LookupError(f"{len(indices)} images are too many")
        trainer = self.trainer(dataset=Reading().dataset(self.context, prefetch=fail))
        with self.assertRaisesRegex(LookupError, "2 images are too many"):
            trainer.step()
        self.assertEqual(trainer.steps_done, 1)  # it cannot stop the step
        with self.assertRaises(TypeError):
            Reading().dataset(self.context, prefetch=3)


class Changed(Folder):
    def test_resume_changed(self):
        trainer = self.trainer(ema_decay=[0.5])
        trainer.run(4)
        trainer.save(self.path)
        options = dm.Trainer.load_options(self.context, self.path)
        self.assertEqual(options, trainer.options)
        trainer.run(6)

        def resume(dataset, *arguments, **members):
            unet = dm.Unet.load(self.context, self.path, "trained")
            return dm.Trainer.resume_changed(unet, dataset, self.path, *arguments, **members)
        for same in (resume(self.dataset()), resume(self.dataset(), options)):
            same.run(6)
            self.assertEqual(same.to_bytes(), trainer.to_bytes())
        reading = Reading()
        changed = resume(reading.dataset(self.context), batch_size=3, learning_rate=0.25,
                         ema_half_life=[0, 100])
        self.assertEqual((changed.options.batch_size, changed.options.ema_decay[0]), (3, 0.5))
        stats = changed.step()
        self.assertEqual((stats.step, stats.images, stats.learning_rate), (5, 11, 0.25))
        self.assertEqual(reading.epochs, [1] * 3)  # positions 8 to 10
        with self.assertRaisesRegex(dm.InvalidArgument, "distill_steps"):
            resume(None, distill_steps=4)
        with self.assertRaises(TypeError):
            resume(None, 3)
        other = dm.Dataset.from_arrays(self.context, self.pixels(5)[0])
        self.assertEqual(resume(other).step().images, 10)
        self.assertIn("6 images; this one has 5", " ".join(self.notes))

    def test_load_info(self):
        unet, dataset = self.unet(), self.dataset()
        trainer = self.trainer(unet, dataset, ema_decay=[0.5, 0, 0.5], label_dropout=0.1)
        trainer.run(3)
        trainer.save(self.path)
        info = dm.Trainer.load_info(self.context, self.path)
        self.assertEqual(info.to_dict(), dict(
            training=1, step=3, images=6, dataset_count=6,
            dataset_fingerprint=dataset.info.fingerprint, emas=5, format_version=1, null_class=1))
        unet.save(self.path)
        info = dm.Trainer.load_info(self.context, self.path)
        self.assertEqual((info.training, info.step, info.null_class), (0, 0, 1))
        with self.assertRaises(dm.BadFormat):
            dm.Trainer.load_options(self.context, self.path)
        with self.assertRaises(FileNotFoundError):
            dm.Trainer.load_info(self.context, self.path + "missing")


if __name__ == "__main__":
    unittest.main()
