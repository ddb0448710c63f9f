# SPDX-License-Identifier: MIT
"""Ownership, threads and signals."""
import gc
import os
import signal
import threading
import time
import unittest

import numpy as np

import libdiffusion as dm
from libdiffusion import _callbacks
from support import NETWORK, SIZE, Case


def resident():
    """Bytes of resident memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Ownership(Case):
    def test_any_order_of_closing(self):
        context = dm.Context(threads=1, log=lambda level, text: self.notes.append(text))
        unet = dm.Unet(context, **NETWORK)
        schedule = dm.Schedule(context)
        sampler = dm.Sampler(unet, schedule, steps=2)
        context.close()
        unet.close()
        schedule.close()
        self.assertEqual(sampler.run().shape, (1, SIZE, SIZE, 3))
        sampler.close()
        self.assertEqual(self.notes, [])

    def test_contexts(self):
        trainer, sampler = self.trainer(), self.sampler()
        for made in (trainer, sampler, trainer.unet, self.schedule(), self.dataset()):
            self.assertIs(made.context, self.context)
            with made as same:
                self.assertIs(same, made)
            self.assertTrue(made.closed)

    def test_collected_in_a_callback(self):
        trainer = self.trainer()
        box = [self.unet(seed=3)]
        before = self.context.memory.used
        trainer.run(2, lambda stats: box.clear())
        self.assertLess(self.context.memory.used, before)

    def test_closed_by_another_thread(self):
        trainer, started = self.trainer(), threading.Event()

        def close():
            started.wait()
            trainer.close()
        thread = threading.Thread(target=close)
        thread.start()
        trainer.run(20, lambda stats: started.set())
        thread.join()
        self.assertTrue(trainer.closed)

    def test_log_that_fails(self):
        def log(level, text):
            raise LookupError(text)
        with dm.Context(threads=1, log=log) as context:
            unet = dm.Unet(context, **NETWORK)
            dataset = dm.Dataset.from_arrays(context, self.pixels()[0])
            schedule = dm.Schedule(context)
            data = dm.Trainer(unet, schedule, dataset, batch_size=2).to_bytes()
            other = dm.Dataset.from_arrays(context, self.pixels()[0][::-1])
            with self.assertRaises(LookupError):
                dm.Trainer.resume_bytes(unet, other, data)
            dm.Trainer.resume_bytes(unet, dataset, data).step()

    def test_no_growth(self):
        pixels = self.pixels()[0]
        schedule = self.schedule(timesteps=10)
        unet, dataset = self.unet(), self.dataset()
        sampler = self.sampler(unet)
        denoiser = dm.Denoiser(evaluate=lambda given: given.x, height=2, width=2, channels=1)

        def fail(stats):
            raise KeyError("text")

        def context():
            dm.Context(threads=1, log=lambda level, text: None)

        def share():
            unet.share(self.context)

        def failing():
            try:
                sampler.run(progress=fail)
            except KeyError:
                pass
        makers = {
            "context": context,
            "schedule": lambda: self.schedule(timesteps=10),
            "unet": lambda: self.unet(),
            "share": share,
            "memory": lambda: dm.Dataset.from_arrays(self.context, pixels),
            "function": lambda: dm.Dataset.from_function(self.context, lambda i: pixels[i], 6,
                                                         (SIZE, SIZE, 3)),
            "trainer": lambda: dm.Trainer(unet, schedule, dataset, batch_size=1,
                                          ema_decay=[0, 0, 0, 0]),
            "sampler": lambda: self.sampler(unet),
            "denoiser": lambda: dm.Sampler.from_denoiser(self.context, schedule, denoiser, steps=2),
            "held": lambda: sampler.start(),
            "options": lambda: dm.SamplerRequest(labels=[1]),
        }
        for name, make in makers.items():
            for _ in range(50):
                make()
            gc.collect()
            used, memory = self.context.memory.used, resident()
            for _ in range(1000):
                make()
            gc.collect()
            self.assertEqual(self.context.memory.used, used, name)
            self.assertLess(resident() - memory, 4 << 20, name)
        slots = len(_callbacks._slots)
        for _ in range(20):
            failing()
        self.assertEqual(len(_callbacks._slots), slots)

    def test_threads_do_not_crash(self):
        """Calls that overlap in one context raise WrongState, nothing else."""
        unet, errors = self.unet(), []
        x = np.zeros((1, SIZE, SIZE, 3), np.float32)

        def work():
            for _ in range(30):
                try:
                    dm.Sampler(unet, self.schedule(), steps=2).run()
                    unet.forward(x, 1)
                except dm.WrongState:
                    pass
                except BaseException as error:
                    errors.append(error)
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        gc.collect()
        unet.forward(x, 1)


class Signals(Case):
    def setUp(self):
        super().setUp()
        # A shell starts programs in the background with SIGINT ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)

    def interrupt_after(self, seconds):
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        self.addCleanup(timer.join)

    def test_interrupt_stops_training(self):
        trainer = self.trainer()
        trainer.run(1, progress=True)  # imports what there is
        handler = signal.getsignal(signal.SIGINT)
        for progress in (None, lambda stats: None, True):
            self.interrupt_after(0.1)
            with self.assertRaises(KeyboardInterrupt):
                trainer.run(1000000, progress)
            self.assertIs(signal.getsignal(signal.SIGINT), handler)
        trainer.step()

    def test_interrupt_stops_sampling(self):
        sampler = self.sampler(steps=1000)
        self.interrupt_after(0.1)
        with self.assertRaises(KeyboardInterrupt):
            sampler.run(count=65)
        sampler.run(count=1)

    def test_own_handler(self):
        class Late(Exception):
            pass

        def handler(number, frame):
            raise Late("too late")
        trainer = self.trainer()
        old = signal.signal(signal.SIGALRM, handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with self.assertRaisesRegex(Late, "too late"):
                trainer.run(1000000)
        finally:
            signal.signal(signal.SIGALRM, old)

    def test_other_threads_run(self):
        trainer, counted, stop = self.trainer(), [0], threading.Event()

        def count():
            while not stop.is_set():
                counted[0] += 1
                time.sleep(0.001)
        thread = threading.Thread(target=count)
        thread.start()
        trainer.run(30)
        stop.set()
        thread.join()
        self.assertGreater(counted[0], 3)


if __name__ == "__main__":
    unittest.main()
