# SPDX-License-Identifier: MIT
"""Networks, datasets and training."""
import os
import tempfile
import threading
import unittest

import numpy as np

import libdiffusion as dm
from support import NETWORK, SIZE, Case


class Errors(Case):
    def test_bad_option(self):
        with self.assertRaises(dm.InvalidArgument) as caught:
            dm.Unet(self.context, norm_groups=30)
        self.assertEqual(caught.exception.status, dm.Status.INVALID_ARGUMENT)
        self.assertEqual(str(caught.exception), "unet: 'norm_groups' is 30; it must divide every "
                         "entry of 'channels' (64 at level 0)")
        with self.assertRaisesRegex(dm.InvalidArgument, "threads"):
            dm.Context(threads=1000)

    def test_missing_file(self):
        with self.assertRaisesRegex(FileNotFoundError, "missing.safetensors: no such file"):
            dm.Unet.load(self.context, "missing.safetensors")
        with self.assertRaises(dm.NotFound):
            dm.Dataset.cifar10(self.context, "missing")
        with self.assertRaises(dm.BadFormat):
            dm.Unet.from_bytes(self.context, b"no file of this kind at all")

    def test_memory_limit(self):
        with dm.Context(threads=1, memory_limit=100000) as context:
            with self.assertRaises(MemoryError):
                dm.Unet(context)

    def test_closed(self):
        unet = self.unet()
        unet.close()
        unet.close()
        with self.assertRaisesRegex(ValueError, "this Unet is closed"):
            unet.tensors()
        with self.assertRaisesRegex(ValueError, "this Unet is closed"):
            self.sampler(unet)
        with self.assertRaises(TypeError):
            dm.Dataset()


class Schedules(Case):
    def test_series_and_levels(self):
        schedule = self.schedule(kind="linear", timesteps=100)
        beta = schedule.series("beta")
        self.assertEqual((schedule.timesteps, beta.shape), (100, (100,)))
        again = dm.Schedule.from_betas(self.context, beta)
        self.same(again.series(dm.Series.SNR), schedule.series("snr"))
        self.assertEqual(again.options.kind, dm.ScheduleKind.CUSTOM)
        level = schedule.level(99)
        self.assertEqual(level.signal, schedule.series("signal")[99])
        with self.assertRaises(dm.InvalidArgument):
            schedule.level(100)

    def test_add_noise(self):
        schedule = self.schedule()
        x_0, noise = np.ones((2, 3), np.float32), np.full((2, 3), 2, np.float32)
        x_t = schedule.add_noise(x_0, noise, [0, 999])
        signal, added = schedule.series("signal"), schedule.series("noise")
        np.testing.assert_allclose(x_t[1], signal[999] + 2 * added[999], rtol=1e-6)
        self.assertIs(schedule.add_noise(x_0, noise, [0, 999], out=x_0), x_0)
        self.same(x_0, x_t)


class Networks(Case):
    def test_tensors(self):
        unet = self.unet()
        state = unet.state_dict()
        self.assertEqual(sum(value.size for value in state.values()), unet.parameter_count)
        self.assertEqual(state["conv_in.weight"].shape, (32, 3, 3, 3))
        other = self.unet(seed=2)
        other.load_state_dict(state)
        self.same(other.get_tensor("conv_out.weight"), state["conv_out.weight"])
        with self.assertRaisesRegex(dm.NotFound, "no such tensor|nothing"):
            unet.get_tensor("nothing")
        with self.assertRaises(KeyError):
            other.load_state_dict({})
        with self.assertRaises(ValueError):
            other.load_state_dict({**state, "conv_in.weight": np.zeros((2, 2))})
        with self.assertRaises(dm.ShapeMismatch):
            other.set_tensor("conv_in.weight", np.zeros((3, 32, 3, 3)))
        with self.assertRaisesRegex(dm.InvalidArgument, "infinite or NaN"):
            other.set_tensor("conv_in.bias", np.full(32, np.nan))

    def test_torch(self):
        try:
            import torch
        except ImportError:
            self.skipTest("no torch")
        unet, other = self.unet(), self.unet(seed=2)
        state = unet.torch_state_dict()
        self.assertIsInstance(state["conv_in.weight"], torch.Tensor)
        other.load_state_dict(state)
        self.assertEqual(other.to_bytes(), unet.to_bytes())

    def test_tensors_of_another_library(self):
        class Tensor:
            """What is used of a tensor of PyTorch."""

            def __init__(self, array):
                self.array, self.shape = array, array.shape

            def detach(self):
                return self

            cpu = float = detach

            def __array__(self, dtype=None, copy=None):
                return self.array
        unet, other = self.unet(), self.unet(seed=2)
        other.load_state_dict({name: Tensor(array) for name, array in unet.state_dict().items()})
        self.assertEqual(other.to_bytes(), unet.to_bytes())

    def test_save_and_load(self):
        unet, schedule = self.unet(), self.schedule(timesteps=10)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "größe.safetensors")
            unet.save(path, schedule)
            with open(path, "rb") as file:
                self.assertEqual(file.read(), unet.to_bytes(schedule))
            again = dm.Unet.load(self.context, path)
            self.assertEqual(dm.Schedule.load(self.context, path).timesteps, 10)
        self.assertEqual((again.to_bytes(), again.options), (unet.to_bytes(), unet.options))
        data = unet.to_bytes(schedule)
        self.assertEqual(dm.Unet.from_bytes(self.context, memoryview(data)).to_bytes(),
                         unet.to_bytes())
        self.assertEqual(dm.Schedule.from_bytes(self.context, data).timesteps, 10)

    def test_forward(self):
        unet = self.unet()
        x = np.random.default_rng(1).standard_normal((2, SIZE, SIZE, 3)).astype(np.float32)
        out = unet.forward(x, 5, [0, -1])
        self.same(out, unet.forward(x[::-1][::-1].astype(float), [5, 5], np.array([0, -1])))
        given = np.empty_like(out)
        self.assertIs(unet.forward(x, 5, [0, -1], out=given), given)
        self.same(given, out)
        for bad in (given.astype(float), given[:1], np.asfortranarray(given)):
            with self.assertRaises(ValueError):
                unet.forward(x, 5, out=bad)
        with self.assertRaises(dm.ShapeMismatch):
            unet.forward(x[:, :4], 5)
        with self.assertRaises(TypeError):
            unet.forward("x", 5)

    def test_precision(self):
        unet, schedule = self.unet(), self.schedule(timesteps=10)
        data = unet.to_bytes(precision="bf16")
        self.assertLess(len(data), 0.75 * len(unet.to_bytes()))
        self.assertEqual(dm.Unet.from_bytes(self.context, data).to_bytes(precision="bf16"), data)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "half.safetensors")
            unet.save(path, schedule, precision=dm.Precision.F16)
            with open(path, "rb") as file:
                self.assertEqual(file.read(), unet.to_bytes(schedule, precision="f16"))

    def test_diffusers(self):
        unet, schedule = self.unet(), self.schedule(timesteps=100, kind="linear")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "größe")
            unet.save_diffusers(path, schedule, dm.SamplerOptions(solver="dpmpp", steps=7))
            loaded = dm.Unet.load_diffusers(self.context, path)
            self.assertEqual(loaded.parameter_count, unet.parameter_count)
            self.assertEqual(dm.Unet.load(self.context, path).to_bytes(), loaded.to_bytes())
            larger = dm.Unet.load_diffusers(self.context, path, height=16, prediction="x0")
            self.assertEqual((larger.options.height, larger.options.prediction),
                             (16, dm.Prediction.X0))
            found, options = dm.Schedule.load_diffusers(self.context, path, steps=9,
                                                        custom_times=[3, 2])
            self.same(found.series("beta"), schedule.series("beta"))
            self.assertEqual((options.solver, options.steps, options.custom_times),
                             (dm.Solver.DPMPP, 9, None))
            dm.Sampler(loaded, found, options)
            self.assertEqual((found.options.float32_tables, options.diffusers_compatible), (0, 0))
            close, options = dm.Schedule.load_diffusers(self.context, path, compatible=True)
            self.assertEqual((close.options.float32_tables, options.diffusers_compatible), (1, 1))
            unet.save_diffusers(path, schedule, precision="f16")
            self.assertEqual(dm.Schedule.load_diffusers(self.context, path)[1].solver,
                             dm.Solver.DDPM)
            with self.assertRaises(dm.NotFound):
                dm.Schedule.load_diffusers(self.context, os.path.join(folder, "missing"))

    def test_initialize(self):
        unet = self.unet()
        data = unet.to_bytes()
        unet.initialize("torch", seed=3)
        self.assertNotEqual(unet.to_bytes(), data)
        unet.initialize(seed=1)
        self.assertEqual(unet.to_bytes(), data)

    def test_input_gradient(self):
        unet = self.unet()
        unet.initialize("torch", seed=3)
        generator = np.random.default_rng(1)
        x, weight, direction = generator.standard_normal((3, 2, SIZE, SIZE, 3)).astype(np.float32)
        output = np.empty_like(x)
        gradient = unet.input_gradient(x, 5, weight, [0, -1], output=output)
        self.same(output, unet.forward(x, 5, [0, -1]))
        change = (unet.forward(x + 0.01 * direction, 5, [0, -1]).astype(np.float64)
                  - unet.forward(x - 0.01 * direction, 5, [0, -1])) / 0.02
        np.testing.assert_allclose(np.sum(gradient * direction, dtype=np.float64),
                                   np.sum(change * weight), rtol=0.01)
        with self.assertRaises(ValueError):
            unet.input_gradient(x, 5, weight[:1])

    def test_conditions_and_tiling(self):
        unet = self.unet(condition_size=2, condition_channels=1)
        unet.initialize("torch", seed=3)
        x = np.zeros((1, SIZE, SIZE, 3))
        plain, image = unet.forward(x, 5), np.ones((1, SIZE, SIZE, 1))
        self.same(unet.forward(x, 5, condition_vector=[[0, 0]]), plain)
        outputs = [plain, unet.forward(x, 5, condition_vector=[[1, 2]]),
                   unet.forward(x, 5, condition_image=image)]
        with self.assertRaises(dm.ShapeMismatch):
            unet.forward(x, 5, condition_vector=[1])
        unet.set_tiling(True, False)
        outputs.append(unet.forward(x, 5))
        unet.set_tiling(False, False)
        self.same(unet.forward(x, 5), plain)
        unet.set_precision("bf16")
        outputs.append(unet.forward(x, 5))
        with self.assertRaises(dm.InvalidArgument):
            unet.set_precision("f16")
        self.assertEqual(len({output.tobytes() for output in outputs}), 5)

    def test_share(self):
        unet = self.unet()
        with dm.Context(threads=1) as other:
            share = unet.share(other)
            with self.assertRaises(dm.WrongState):
                unet.set_tensor("conv_in.bias", np.zeros(32))
            unet.close()
            self.assertEqual(share.options.classes, 3)
        share.close()

    def test_evaluate(self):
        unet, schedule, dataset = self.unet(), self.schedule(), self.dataset()
        seen = []
        result = unet.evaluate(schedule, dataset, timesteps=2, batch_size=3,
                               progress=lambda done, total: seen.append((done, total)))
        self.assertEqual((result.images, len(result.loss)), (6, 4))
        self.assertEqual(seen[-1][0], seen[-1][1])
        self.assertEqual(result, unet.evaluate(schedule, dataset, timesteps=2, batch_size=2))
        with self.assertRaises(dm.Cancelled):
            unet.evaluate(schedule, dataset, progress=lambda done, total: True)


class Datasets(Case):
    def test_memory(self):
        pixels, labels = self.pixels()
        dataset = dm.Dataset.from_arrays(self.context, pixels, labels)
        self.assertEqual((len(dataset), dataset.info.height), (6, SIZE))
        for index, (image, label) in enumerate(dataset):
            self.same(image, pixels[index])
            self.assertEqual(label, labels[index])
        pixels[0] = 7  # the array is used in place
        self.assertEqual(dataset[0][0].max(), 7)
        self.assertEqual(dataset[-1][1], labels[5])
        with self.assertRaises(IndexError):
            dataset[6]
        copied = dm.Dataset.from_arrays(self.context, pixels, copy=True)
        pixels[0] = 8
        self.assertEqual((copied[0][0].max(), copied[0][1]), (7, -1))
        del pixels
        self.assertEqual(dataset[0][0].max(), 8)

    def test_refusals(self):
        make = dm.Dataset.from_arrays
        with self.assertRaisesRegex(TypeError, "to_u8"):
            make(self.context, np.zeros((2, 8, 8, 3)))
        with self.assertRaisesRegex(ValueError, "300"):
            make(self.context, np.full((2, 8, 8, 3), 300))
        with self.assertRaises(dm.ShapeMismatch):
            make(self.context, *[self.pixels()[0], [1, 2]])
        with self.assertRaises(ValueError):
            make(self.context, np.zeros((8, 8), np.uint8))

    def test_function(self):
        pixels, labels = self.pixels()
        dataset = dm.Dataset.from_function(self.context, lambda i: (pixels[i], labels[i]), 6,
                                           (SIZE, SIZE, 3), classes=3)
        self.same(dataset[4][0], pixels[4])
        self.assertEqual(dataset[4][1], labels[4])
        results = [self.trainer(dataset=data) for data in (dataset, self.dataset())]
        self.assertEqual(*[trainer.step().loss for trainer in results])
        plain = dm.Dataset.from_sequence(self.context, list(pixels))
        self.assertEqual(plain[3][1], -1)

    def test_failing_function(self):
        def read(index):
            raise LookupError(f"image {index} is gone")
        dataset = dm.Dataset.from_function(self.context, read, 4, (SIZE, SIZE, 3))
        with self.assertRaisesRegex(LookupError, "image 2 is gone"):
            dataset[2]
        with self.assertRaises(LookupError):
            self.trainer(dataset=dataset).step()
        wrong = dm.Dataset.from_function(self.context, lambda i: np.zeros((1, 1, 3), np.uint8), 4,
                                         (SIZE, SIZE, 3))
        with self.assertRaisesRegex(ValueError, "shape"):
            wrong[0]

    def test_shapes(self):
        shapes = dm.Dataset.shapes(self.context, 16, 100, 1)
        self.assertEqual((len(shapes), shapes.class_name(0) is None), (100, False))
        self.assertIsNone(shapes.class_name(1000))


class Training(Case):
    def test_resume_has_the_same_bits(self):
        whole = self.trainer()
        whole.run(6)
        part = self.trainer()
        part.run(3)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "part.safetensors")
            part.save(path)
            unet = dm.Unet.load(self.context, path, "trained")
            resumed = dm.Trainer.resume(unet, self.dataset(), path)
        self.assertEqual(resumed.steps_done, 3)
        resumed.run(6)
        self.assertEqual(resumed.to_bytes(), whole.to_bytes())
        unet = self.unet(seed=9)
        again = dm.Trainer.resume_bytes(unet, self.dataset(), part.to_bytes())
        again.run(6)
        self.assertEqual(again.to_bytes(), whole.to_bytes())

    def test_ema(self):
        trainer = self.trainer(ema_decay=[0.5, 0, 0, 0])
        trainer.run(3)
        average = trainer.get_ema()
        self.assertNotEqual(average.to_bytes(), trainer.unet.to_bytes())
        self.assertEqual(average.to_bytes(), dm.Unet.from_bytes(
            self.context, trainer.to_bytes(), dm.Weights.EMA).to_bytes())
        target = self.unet(seed=5)
        self.assertIs(trainer.get_ema(0, target), target)
        self.assertEqual(target.to_bytes(), average.to_bytes())
        with self.assertRaises(dm.WrongState):
            trainer.get_ema(1)

    def test_step_batch(self):
        trainer = dm.Trainer(self.unet(), self.schedule(), batch_size=2)
        images = dm.from_u8(self.pixels(2)[0])
        stats = trainer.step_batch(images, labels=[0, 1], timesteps=[10, 20],
                                   noise=np.ones_like(images))
        self.assertEqual((stats.step, trainer.options.batch_size), (1, 2))
        trainer.set_learning_rate(0.5)
        self.assertEqual(trainer.step_batch(images).learning_rate, 0.5)
        with self.assertRaises(dm.ShapeMismatch):
            trainer.step_batch(images[:1])

    def test_callback(self):
        trainer, seen = self.trainer(), []
        trainer.run(3, seen.append)
        self.assertEqual([stats.step for stats in seen], [1, 2, 3])
        with self.assertRaises(dm.Cancelled):
            trainer.run(10, lambda stats: stats.step == 5)
        self.assertEqual(trainer.steps_done, 5)
        with self.assertRaisesRegex(ZeroDivisionError, "division"):
            trainer.run(10, lambda stats: 1 / 0)
        self.assertEqual(trainer.steps_done, 6)
        with self.assertRaises(SystemExit):
            trainer.run(10, lambda stats: exit(3))
        with self.assertRaises(TypeError):
            trainer.run(10, "no function")
        trainer.run(9, progress=True)  # with tqdm or without

    def test_call_inside_a_callback(self):
        trainer, texts = self.trainer(), []

        def inside(stats):
            try:
                trainer.step()
            except dm.WrongState as error:
                texts.append(str(error))
            self.assertEqual(dm.SamplerOptions(solver="ddim").get("solver"), "ddim")
        trainer.run(1, inside)
        self.assertEqual(texts, ["the call overlaps another in the same context"])

    def test_cancel_from_a_thread(self):
        trainer, started = self.trainer(), threading.Event()

        def cancel():
            started.wait()
            trainer.cancel()
        thread = threading.Thread(target=cancel)
        thread.start()
        with self.assertRaises(dm.Cancelled):
            trainer.run(1000000, lambda stats: started.set())
        thread.join()

    def test_profile_and_threads(self):
        with dm.Context(threads=2, profile=True) as context:
            unet = dm.Unet(context, **NETWORK)
            unet.forward(np.zeros((1, SIZE, SIZE, 3)), 1)
            rows = context.profile_rows()
            self.assertTrue(any(row.operation == "conv" and row.calls for row in rows))
            context.profile_reset()
            self.assertEqual((context.profile_rows(), context.threads), ([], 2))

    def test_parallel_for(self):
        def run(count, body):
            used.append(count)
            threads = [threading.Thread(target=body, args=(i,)) for i in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        def leave(count, body):
            for i in range(count):
                threading.Thread(target=body, args=(i,)).start()
        used, results = [], []
        for function in (run, leave, lambda count, body: None, None):
            with dm.Context(threads=3, parallel_for=function) as context:
                unet = dm.Unet(context, **NETWORK, seed=1)
                results.append(unet.forward(np.ones((2, SIZE, SIZE, 3)), 1).tobytes())
        self.assertTrue(used)

        def fail(count, body):
            raise KeyError("pool")
        with dm.Context(threads=2, parallel_for=fail) as context:
            with self.assertRaisesRegex(KeyError, "pool"):
                dm.Unet(context, **NETWORK).forward(np.ones((2, SIZE, SIZE, 3)), 1)
        self.assertEqual(results, results[:1] * 4)


if __name__ == "__main__":
    unittest.main()
