# SPDX-License-Identifier: MIT
"""Sampling, and images."""
import os
import struct
import tempfile
import threading
import unittest
import zlib

import numpy as np

import libdiffusion as dm
from support import SIZE, Case


class Sampling(Case):
    def test_guidance_is_deterministic(self):
        unet = self.unet()
        sampler = self.sampler(unet, guidance=2)
        images = sampler.run(labels=[0, 1, 2], seed=7)
        self.assertEqual((images.shape, images.dtype), ((3, SIZE, SIZE, 3), np.float32))
        self.same(self.sampler(unet, guidance=2, batch_size=1).run(labels=range(3), seed=7), images)
        self.same(sampler.run(labels=[2], seeds=[9]), images[2:])
        out = np.empty_like(images)
        request = dm.SamplerRequest(labels=[0, 1, 2], seed=7)
        self.assertIs(sampler.run(request, out=out), out)
        self.same(out, images)
        self.assertNotEqual(sampler.run(request, seed=8).tobytes(), images.tobytes())

    def test_properties(self):
        sampler = self.sampler(solver="heun", steps=5)
        self.assertEqual((sampler.shape, sampler.steps, sampler.evaluations),
                         ((SIZE, SIZE, 3), 5, 9))
        self.assertEqual(len(sampler.levels().timesteps), 9)
        self.assertEqual(sampler.options.solver, dm.Solver.HEUN)
        custom = self.sampler(custom_times=[900, 500.5, 3])
        np.testing.assert_array_equal(custom.levels().timesteps, [900, 500.5, 3])
        with self.assertRaises(dm.InvalidArgument):
            self.sampler(custom_times=[3, 2], custom_sigmas=[3, 2])
        with self.assertRaises(ValueError):
            self.sampler(custom_times=[3, 2], custom_sigmas=[3])

    def test_progress(self):
        sampler, seen = self.sampler(batch_size=2), []

        def progress(state):
            seen.append((state.first, state.step, state.x_0.copy(), state.x_t))
        images = sampler.run(count=3, progress=progress)
        self.assertEqual([entry[:2] for entry in seen],
                         [(first, step) for first in (0, 2) for step in (1, 2, 3, 4)])
        self.same(seen[3][3], images[:2])
        kept = []
        sampler.run(progress=kept.append)
        with self.assertRaisesRegex(RuntimeError, "gone"):
            kept[0].x_t
        with self.assertRaises(dm.Cancelled):
            sampler.run(progress=lambda state: state.step == 2)
        with self.assertRaisesRegex(KeyError, "here"):
            sampler.run(progress=lambda state: {}["here"])
        sampler.run(count=3, progress=True)

    def test_noise(self):
        sampler = self.sampler(solver="ddpm")
        noise = sampler.initial_noise(count=2, seed=3)
        calls = []

        def source(request):
            calls.append(request.step)
            if request.step == 0:
                return noise.reshape(2, -1)
            return np.zeros((request.count, request.elements))
        first = sampler.run(count=2, noise=source)
        self.same(sampler.run(initial_noise=noise, noise=source), first)
        self.assertIn(0, calls)
        for result, error in ((np.zeros(3), ValueError), ("text", TypeError), (None, TypeError)):
            with self.assertRaises(error):
                sampler.run(count=2, noise=lambda request: result)
        middle = dm.noise_interpolate(noise[0], noise[1], 0.5)
        self.assertEqual(middle.shape, noise[0].shape)
        self.same(dm.noise_interpolate(noise[0], noise[1], 0), noise[0])
        self.assertEqual(sampler.run(seed=1, random="torch").shape[0], 1)

    def test_guidance(self):
        sampler, seen = self.sampler(batch_size=2), []
        plain = sampler.run(count=3, seed=2)

        def guide(step):
            seen.append((step.first, step.rederive, step.labels, step.x.dtype))
            step.x_0[...] = 0.5
            step.rederive = 1
        np.testing.assert_allclose(sampler.run(count=3, guide=guide), 0.5, rtol=1e-6)
        self.assertEqual(seen[0], (0, 0, None, np.dtype(np.float32)))
        self.assertEqual(len(seen), 2 * sampler.evaluations)
        self.same(sampler.run(count=3, seed=2, guide=lambda step: None), plain)

        def shift(step):
            step.eps -= 0.1
            step.rederive = 2
        first = sampler.run(labels=[0, 1], guide=shift)
        self.same(sampler.run(labels=[1], seeds=[1], guide=shift), first[1:])
        self.assertNotEqual(first.tobytes(), plain[:2].tobytes())
        with self.assertRaisesRegex(KeyError, "here"):
            sampler.run(guide=lambda step: {}["here"])
        with self.assertRaises(ValueError):
            sampler.run(guide=lambda step: setattr(step, "x_0", np.zeros(3)))
        with self.assertRaisesRegex(dm.InvalidArgument, "'rederive' is 3"):
            sampler.run(guide=lambda step: setattr(step, "rederive", 3))
        with self.assertRaises(AttributeError):
            sampler.run(guide=lambda step: setattr(step, "x", step.x))
        held = sampler.start(count=2, guide=guide)
        list(held)
        np.testing.assert_allclose(held.finish(), 0.5, rtol=1e-6)

    def test_image_and_mask(self):
        sampler = self.sampler()
        image = dm.from_u8(self.pixels(2)[0])
        mask = np.zeros((2, SIZE, SIZE), np.float32)
        np.testing.assert_allclose(sampler.run(image=image, mask=mask), image, atol=1e-5)
        self.assertEqual(sampler.run(image=image, strength=0.5).shape, image.shape)
        self.assertEqual(sampler.invert(image=image).shape, image.shape)
        with self.assertRaises(dm.Error):
            sampler.run(image=image[:, :4])
        with self.assertRaises(dm.Error):
            sampler.run(count=3, labels=[0, 1])
        with self.assertRaises(dm.Error):
            sampler.run(labels=[0, 99])
        with self.assertRaises(ValueError):
            sampler.run(count=0)
        with self.assertRaises(ValueError):
            sampler.run(count=1 << 40)

    def test_denoiser(self):
        schedule, inputs = self.schedule(), []

        def evaluate(given):
            inputs.append((given.timestep, given.labels))
            return given.x * 0.5
        denoiser = dm.Denoiser(evaluate=evaluate, height=4, width=5, channels=2)
        sampler = dm.Sampler.from_denoiser(self.context, schedule, denoiser, steps=3)
        del denoiser, evaluate
        images = sampler.run(count=2, labels=[4, -1])
        self.assertEqual(images.shape, (2, 4, 5, 2))
        self.assertEqual(list(inputs[0][1]), [4, -1])
        self.assertEqual([time for time, _ in inputs], list(sampler.levels().timesteps))
        for result, error in ((1, ValueError), (None, TypeError)):
            bad = dm.Denoiser(evaluate=lambda given: result, height=4, width=4, channels=1)
            with self.assertRaises(error):
                dm.Sampler.from_denoiser(self.context, schedule, bad, steps=3).run()
        with self.assertRaises(dm.InvalidArgument):
            dm.Sampler.from_denoiser(self.context, schedule,
                                     dm.Denoiser(height=4, width=4, channels=1))

    def test_cancel_from_a_thread(self):
        sampler, started = self.sampler(steps=1000), threading.Event()
        thread = threading.Thread(target=lambda: (started.wait(), sampler.cancel()))
        thread.start()
        with self.assertRaises(dm.Cancelled):
            sampler.run(count=4, progress=lambda state: started.set())
        thread.join()


class HeldRuns(Case):
    def test_same_as_run(self):
        sampler = self.sampler(batch_size=2)
        labels = np.array([0, 1, 2], np.int32)
        images = sampler.run(labels=labels, seed=7)
        held = sampler.start(labels=labels, seed=7)
        labels[:] = 99  # the run has a copy
        with self.assertRaises(dm.WrongState):
            held.finish()
        with self.assertRaises(dm.WrongState):
            sampler.run()
        self.assertEqual(list(held), [7, 6, 5, 4, 3, 2, 1, 0])
        self.same(held.preview(), images)
        self.same(held.finish(), images)
        with self.assertRaisesRegex(ValueError, "closed"):
            held.step()
        self.same(sampler.run(labels=[0, 1, 2], seed=7), images)

    def test_given_up(self):
        sampler = self.sampler()
        with sampler.start(count=2) as held:
            held.step()
        held = sampler.start(count=2)
        held.step()
        del held
        held = sampler.start(count=2)
        sampler.close()
        self.context.close()
        self.assertEqual(len(list(held)), 4)
        self.assertEqual(held.finish().shape[0], 2)

    def test_failures(self):
        sampler = self.sampler()

        def fail(state):
            raise KeyError("here")
        held = sampler.start(count=2, progress=fail)
        with self.assertRaises(KeyError):
            held.step()
        self.assertTrue(held.closed)
        held = sampler.start(count=2)
        sampler.cancel()
        with self.assertRaises(dm.Cancelled):
            held.step()
        sampler.run()


class Images(Case):
    def test_conversion(self):
        images = np.array([-2, -1, 0, 1, 2, np.nan], np.float32)
        self.assertEqual(list(dm.to_u8(images)), [0, 0, 128, 255, 255, 0])
        pixels = np.arange(256, dtype=np.uint8)
        self.same(dm.to_u8(dm.from_u8(pixels)), pixels)

    def decode(self, data):
        """Height, width and bytes of the rows of a PNG."""
        self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", data[16:24])
        return height, width

    def test_png(self):
        pixels = self.pixels(3)[0]
        grid = dm.draw_grid(pixels, columns=2, scale=2, gap=3)
        self.assertEqual(grid.shape, (2 * 16 + 3 * 3, 2 * 16 + 3 * 3, 3))
        data = dm.encode_png(grid)
        self.assertEqual(self.decode(data), grid.shape[:2])
        self.assertEqual(zlib.crc32(data[-8:-4]), struct.unpack(">I", data[-4:])[0])
        picture = dm.Picture(pixels, columns=2, scale=2, gap=3)
        self.assertEqual(picture._repr_png_(), data)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.png")
            picture.save(path)
            with open(path, "rb") as file:
                self.assertEqual(file.read(), data)
            dm.write_apng(path, pixels, delay_ms=50)
            with open(path, "rb") as file:
                self.assertIn(b"acTL", file.read())
            with self.assertRaises(dm.Error):
                dm.write_png(os.path.join(folder, "no", "a.png"), grid)
        with self.assertRaises(ValueError):
            dm.encode_png(np.zeros((4, 4, 2), np.uint8))
        with self.assertRaises(dm.Error):
            dm.draw_grid(pixels, scale=100)
        self.assertEqual(dm.Picture(np.zeros((4, 4))).pixels.shape, (4, 4, 1))

    def test_pil(self):
        try:
            import PIL.Image
        except ImportError:
            self.skipTest("no PIL")
        image = dm.Picture(self.pixels(1)[0][0]).to_pil()
        self.assertIsInstance(image, PIL.Image.Image)
        self.assertEqual((image.size, image.mode), ((SIZE, SIZE), "RGB"))
        self.assertEqual(dm.to_pil(np.zeros((4, 4))).mode, "L")


if __name__ == "__main__":
    unittest.main()
