# SPDX-License-Identifier: MIT
"""Sampling."""
from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import numpy as np

from . import _arrays, _callbacks, _signals
from ._core import Handle, Native
from ._errors import check
from ._generated import Denoiser, SamplerOptions, SamplerRequest, WrongState
from ._library import dll
from ._struct import Memory, options_of
from .context import Context, Object, core_of
from .schedule import Schedule
from .unet import Unet

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._generated import SamplerOptionsMembers, SamplerRequestMembers


class Levels(NamedTuple):
    """The noise level of each model evaluation of a run: fractional timestep, signal and noise."""
    timesteps: np.ndarray
    signal: np.ndarray
    noise: np.ndarray


class Sampler(Object):
    """Turns noise into images with a network.

    Takes a SamplerOptions or its members. What is sampled is a SamplerRequest or its members, as in
    sampler.run(labels=[0, 1, 2], seed=7). `count` is taken from labels, seeds, image,
    initial_noise or conditions where it is not given.
    """

    def __init__(self, unet: Unet, schedule: Schedule, options: Optional[SamplerOptions] = None,
                 **members: Unpack[SamplerOptionsMembers]) -> None:
        memory = options_of(SamplerOptions, options, dict(members))._filled()
        self._create(core_of(unet, schedule), "sampler", "dm_sampler_create",
                     (unet, schedule, memory.bytes), (unet, schedule))
        self._context = unet.context

    @classmethod
    def from_denoiser(cls, context: Context, schedule: Schedule, denoiser: Denoiser,
                      options: Optional[SamplerOptions] = None,
                      **members: Unpack[SamplerOptionsMembers]) -> Sampler:
        """Samples with a function in place of a network: Denoiser(evaluate=f, height=8, width=8,
        channels=3, prediction="eps"). f(input), a DenoiserInput with the arrays x, labels and
        conditions, returns the model's output, an array of x's shape."""
        if not isinstance(denoiser, Denoiser):
            raise TypeError(f"denoiser is {denoiser!r}; it must be a Denoiser")
        made, memory = cls.__new__(cls), denoiser._filled()
        settings = options_of(SamplerOptions, options, dict(members))._filled()
        core, key = core_of(context, schedule), None
        if denoiser.evaluate is not None:
            key = _callbacks.register(core, denoiser.evaluate)
            memory.set_function("evaluate", _callbacks.on_denoise, "user", key)
        made._create(core, "sampler", "dm_sampler_create_with_denoiser",
                     (context, schedule, memory.bytes, settings.bytes), (context, schedule),
                     lambda: _callbacks.forget(key))
        made._context = context
        return made

    @property
    def options(self) -> SamplerOptions:
        """The options in effect: what was left to the solver is filled in. Lists of custom levels
        are left out; see `levels`."""
        memory = Memory("dm_sampler_options")
        self._core.call("dm_sampler_get_options", self, memory.bytes, len(memory.bytes))
        options: SamplerOptions = SamplerOptions._from(memory)
        return options

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        numbers = [ctypes.c_int32() for _ in range(3)]
        self._property("dm_sampler_shape", *map(ctypes.byref, numbers))
        return numbers[0].value, numbers[1].value, numbers[2].value

    @property
    def steps(self) -> int:
        """Steps of a run with strength 1 and without RePaint."""
        return int(self._property("dm_sampler_steps"))

    @property
    def evaluations(self) -> int:
        """Model evaluations of such a run."""
        return int(self._property("dm_sampler_evaluations"))

    def levels(self) -> Levels:
        """The noise level of each model evaluation, in order."""
        arrays = [np.empty(self.evaluations, np.float64) for _ in range(3)]
        self._core.call("dm_sampler_get_levels", self, *(array.ctypes.data for array in arrays),
                        arrays[0].size)
        return Levels(*arrays)

    def run(self, request: Optional[SamplerRequest] = None, *, out: Optional[np.ndarray] = None,
            **members: Unpack[SamplerRequestMembers]) -> np.ndarray:
        """Samples images, float32 [count, height, width, channels] in [-1, 1], into `out` if given.

        progress(state) is called after each step and stops the run by returning true (Cancelled);
        what it raises comes out of here; True shows a bar of tqdm, or a line without tqdm. Its
        arrays x_t and x_0 are copied when they are read, and can first be read only while it runs.
        guide(step) may change step.x_0 and step.eps at each model evaluation, and set
        step.rederive: 1: eps is derived anew from x and x_0; 2: x_0 from x and eps.
        Ctrl-C stops the run between steps.
        """
        return self._sample("dm_sampler_run", request, out, dict(members))

    def invert(self, request: Optional[SamplerRequest] = None, *,
               out: Optional[np.ndarray] = None,
               **members: Unpack[SamplerRequestMembers]) -> np.ndarray:
        """DDIM inversion: from the request's `image` to the noise from which DDIM with eta 0
        samples it, approximately."""
        return self._sample("dm_sampler_invert", request, out, dict(members))

    def initial_noise(self, request: Optional[SamplerRequest] = None, *,
                      out: Optional[np.ndarray] = None,
                      **members: Unpack[SamplerRequestMembers]) -> np.ndarray:
        """The noise that a run of that request starts from, [count, height, width, channels]; it
        may be changed and given as initial_noise."""
        return self._sample("dm_sampler_initial_noise", request, out, dict(members))

    def _sample(self, function: str, request: Optional[SamplerRequest],
                out: Optional[np.ndarray], members: dict[str, Any]) -> np.ndarray:
        with ExitStack() as stack:
            memory = self._request(request, members, stack)
            out = _arrays.as_output("out", out, np.float32, (memory.get("count"), *self.shape))
            self._core.call(function, self, memory.bytes, out.ctypes.data, out.size)
            return out

    def _request(self, request: Optional[SamplerRequest], members: dict[str, Any],
                 stack: ExitStack) -> Memory:
        """The struct of a request; `stack` ends its callbacks."""
        given: Any = options_of(SamplerRequest, request, members)
        memory: Memory = given._filled()
        arrays = [given._objects.get(name) for name in
                  ("labels", "seeds", "image", "initial_noise", "condition_image",
                   "condition_vector")]
        if "count" not in given._given:
            memory.set("count", next((len(array) for array in arrays
                                      if array is not None and array.ndim), memory.get("count")))
        if not 1 <= memory.get("count") <= 65536:  # before memory is allocated for them
            raise ValueError(f"count is {memory.get('count')}; it must be from 1 to 65536")
        total = [0]

        def text(state: Any) -> tuple[int, str, int]:
            batches = -(-memory.get("count") // state.count) if not state.first else 0
            total[0] = max(total[0], batches * state.steps)
            position = total[0] * state.first // memory.get("count")
            return position + state.step, "", total[0]

        function, end = _callbacks.bar(given.progress, None, text)
        stack.callback(end)
        key = stack.enter_context(_callbacks.registered(
            core_of(self), _callbacks.on_progress(function, self.shape)))
        memory.set_function("progress", _callbacks.on_sample, "progress_user", key)
        if given.noise is not None:
            key = stack.enter_context(_callbacks.registered(self._core, given.noise))
            memory.set_function("noise", _callbacks.on_noise, "noise_user", key)
        if given.guide is not None:
            key = stack.enter_context(_callbacks.registered(
                self._core, _callbacks.on_guide(given.guide, self.shape)))
            memory.set_function("guide", _callbacks.on_sample, "guide_user", key)
        return memory

    def start(self, request: Optional[SamplerRequest] = None,
              **members: Unpack[SamplerRequestMembers]) -> HeldRun:
        """Starts a run that is done in steps, with the same bits, for programs that must not
        block. A sampler holds one run at a time."""
        return HeldRun(self, request, dict(members))

    def cancel(self) -> None:
        """Stops the run in progress after its current step with Cancelled; if none is, the next
        call that would do a step. May be called at any time, from any thread."""
        self._property("dm_sampler_cancel")

    def __repr__(self) -> str:
        return "<closed Sampler>" if self.closed else f"<Sampler, {self.steps} steps>"


class HeldRun(Handle):
    """A run of Sampler.start. A context manager that gives the run up at its end; iterating does
    the steps, and gives the number of those left after each."""

    def __init__(self, sampler: Sampler, request: Optional[SamplerRequest],
                 members: dict[str, Any]) -> None:
        core = self._core = core_of(sampler)
        self._shape, self._left = sampler.shape, -1
        with ExitStack() as stack:
            self._memory = memory = sampler._request(request, members, stack)
            for name, array in list(memory.kept.items()):
                memory.set_array(name, array.copy())  # they must not change until the end
            pointer = sampler.native.pointer
            self._held = held = [True]
            callbacks = ExitStack()

            def abandon() -> None:
                if held[0]:
                    dll.dm_sampler_finish(pointer, None, 0)
                callbacks.close()

            with _signals.Deferred():
                core.call("dm_sampler_start", sampler, memory.bytes)
                callbacks.push(stack.pop_all().__exit__)
                self._native = Native(core, pointer, abandon, (sampler.native,))

    def step(self) -> int:
        """One step of one batch; returns the steps of all batches that are left. A step that
        raises ends the run, except for WrongState."""
        left = ctypes.c_int32()
        self.native  # raises if the run has ended
        try:
            self._core.call("dm_sampler_step", self, ctypes.byref(left))
        except WrongState:
            raise
        except BaseException:
            self.close()
            raise
        self._left = left.value
        return left.value

    def __iter__(self) -> Iterator[int]:
        while self._left:
            yield self.step()

    @property
    def steps_left(self) -> Optional[int]:
        """What the last step returned; None before the first."""
        return None if self._left < 0 else self._left

    def preview(self, out: Optional[np.ndarray] = None) -> np.ndarray:
        """x_0 as predicted at the last step, [count, height, width, channels]; 0 for images whose
        batch has not begun."""
        return self._images("dm_sampler_get_preview", out)

    def finish(self, out: Optional[np.ndarray] = None) -> np.ndarray:
        """Ends the run and returns its images. WrongState if steps are left, and the run stays."""
        with _signals.Deferred():
            images = self._images("dm_sampler_finish", out)
            self._held[0] = False
            self.close()
            return images

    def _images(self, function: str, out: Optional[np.ndarray]) -> np.ndarray:
        out = _arrays.as_output("out", out, np.float32,
                                (self._memory.get("count"), *self._shape))
        self._core.call(function, self, out.ctypes.data, out.size)
        return out


def noise_interpolate(a: Any, b: Any, weight: float,
                      out: Optional[np.ndarray] = None) -> np.ndarray:
    """Spherical interpolation between two noise arrays of one shape, weight 0 (a) to 1 (b). `out`
    may be a or b."""
    a = _arrays.as_input("a", a, np.float32)
    b = _arrays.as_input("b", b, np.float32, a.shape)
    out = _arrays.as_output("out", out, np.float32, a.shape)
    check(dll.dm_noise_interpolate(out.ctypes.data, a.ctypes.data, b.ctypes.data, float(weight),
                                   a.size))
    return out
