# SPDX-License-Identifier: MIT
"""The noise schedule."""
from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

import numpy as np

from . import _arrays
from ._generated import SamplerOptions, ScheduleOptions, Series
from ._struct import Memory, options_of
from .context import Context, Object

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._generated import SamplerOptionsMembers, ScheduleOptionsMembers


class Level(NamedTuple):
    """A level of noise: x = signal x_0 + noise eps, and the network's time input."""
    signal: float
    noise: float
    time: float


class Schedule(Object):
    """How much noise each of the timesteps 0 to T - 1 adds: x_t = signal_t x_0 + noise_t eps.

    Takes a ScheduleOptions or its members. A schedule never changes; samplers and trainers of
    other contexts may use it too.
    """

    def __init__(self, context: Context, options: Optional[ScheduleOptions] = None,
                 **members: Unpack[ScheduleOptionsMembers]) -> None:
        memory = options_of(ScheduleOptions, options, dict(members))._filled()
        self._make(context, "create", memory.bytes)

    def _make(self, context: Context, function: str, *arguments: Any) -> None:
        context.native
        self._create(context._core, "schedule", "dm_schedule_" + function, (context, *arguments),
                     (context,))
        self._context = context

    @classmethod
    def from_betas(cls, context: Context, betas: Any) -> Schedule:
        """From a sequence of T betas, each in (0, 1)."""
        made, array = cls.__new__(cls), _arrays.as_input("betas", betas, np.float64)
        made._make(context, "create_from_betas", array.ctypes.data, array.size)
        return made

    @classmethod
    def load(cls, context: Context, path: Union[str, os.PathLike[str]]) -> Schedule:
        """The schedule stored in a file of Trainer.save or Unet.save."""
        made = cls.__new__(cls)
        made._make(context, "load", os.fsencode(path))
        return made

    @classmethod
    def from_bytes(cls, context: Context, data: Any) -> Schedule:
        """The schedule in the bytes of such a file."""
        made, array = cls.__new__(cls), _arrays.as_bytes("data", data)
        made._make(context, "load_memory", array.ctypes.data, array.size)
        return made

    @classmethod
    def load_diffusers(cls, context: Context, path: Union[str, os.PathLike[str]],
                       sampler: Optional[SamplerOptions] = None, *, compatible: bool = False,
                       **members: Unpack[SamplerOptionsMembers]) -> tuple[Schedule, SamplerOptions]:
        """The schedule of a scheduler of diffusers, and what it says about sampling. `path` is a
        scheduler_config.json, or the folder of a scheduler or pipeline with one. Of `sampler`, or
        its members, those stay that are arguments of a call there: steps, batch_size, eta, churn
        and guidance. compatible: float32_tables and diffusers_compatible, for the same pixels as
        diffusers. Raises Unsupported for what cannot be expressed."""
        made, how = cls.__new__(cls), Memory("dm_diffusers_options")
        how.set("compatible", int(bool(compatible)))
        memory = options_of(SamplerOptions, sampler, dict(members))._filled()
        made._make(context, "load_diffusers", os.fsencode(path), how.bytes, memory.bytes)
        memory.kept.clear()
        options: SamplerOptions = SamplerOptions._from(memory)
        return made, options

    @property
    def options(self) -> ScheduleOptions:
        """A copy of the options."""
        memory = Memory("dm_schedule_options")
        self._core.call("dm_schedule_get_options", self, memory.bytes, len(memory.bytes))
        options: ScheduleOptions = ScheduleOptions._from(memory)
        return options

    @property
    def timesteps(self) -> int:
        """T."""
        return int(self._property("dm_schedule_timesteps"))

    def series(self, series: Union[Series, str]) -> np.ndarray:
        """A series of T values, such as "beta" or "alpha_cumprod", as float64."""
        values = np.empty(self.timesteps, np.float64)
        self._core.call("dm_schedule_get_series", self, int(Series(series)), values.ctypes.data,
                        values.size)
        return values

    def level(self, timestep: float) -> Level:
        """The level of noise at a timestep in [0, T - 1], whole or fractional."""
        numbers = [ctypes.c_double() for _ in range(3)]
        self._core.call("dm_schedule_get_level", self, float(timestep),
                        *map(ctypes.byref, numbers))
        return Level(*(number.value for number in numbers))

    def add_noise(self, x_0: Any, noise: Any, timesteps: Any,
                  out: Optional[np.ndarray] = None) -> np.ndarray:
        """x_t = signal_t x_0 + noise_t noise. x_0 and noise are [count, ...] of one shape,
        timesteps [count] integers from 0 to T - 1. `out` may be x_0 or noise."""
        x_0 = _arrays.as_input("x_0", x_0, np.float32)
        if x_0.ndim == 0:
            raise ValueError("x_0 must have a first axis of images")
        noise = _arrays.as_input("noise", noise, np.float32, x_0.shape)
        times = _arrays.as_input("timesteps", timesteps, np.int32, x_0.shape[:1], copy=True)
        out = _arrays.as_output("out", out, np.float32, x_0.shape)
        each = x_0.size // len(x_0) if len(x_0) else 0
        self._core.call("dm_schedule_add_noise", self, out.ctypes.data, x_0.ctypes.data,
                        noise.ctypes.data, times.ctypes.data, len(x_0), each)
        return out
