# SPDX-License-Identifier: MIT
"""Training."""
from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from . import _arrays, _callbacks
from ._core import Handle
from ._generated import CheckpointInfo, TrainerOptions, TrainStats
from ._struct import Memory, options_of
from .context import Context, Object, core_of
from .dataset import Dataset, _number
from .schedule import Schedule
from .unet import Path, Unet, _saved, set_conditions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._generated import TrainerOptionsMembers


class Trainer(Object):
    """Trains a network in place on a dataset of the same context.

    Takes a TrainerOptions or its members. The dataset may be None where only step_batch is used. A
    network has one trainer at a time, and none while it is shared. All memory of training is
    allocated here.
    """

    def __init__(self, unet: Unet, schedule: Schedule, dataset: Optional[Dataset] = None,
                 options: Optional[TrainerOptions] = None,
                 **members: Unpack[TrainerOptionsMembers]) -> None:
        memory = options_of(TrainerOptions, options, dict(members))._filled()
        core = core_of(unet, schedule, dataset)
        self._create(core, "trainer", "dm_trainer_create", (unet, schedule, dataset, memory.bytes),
                     _made_from(unet, schedule, dataset))
        self._unet, self._context = unet, unet.context

    @classmethod
    def resume(cls, unet: Unet, dataset: Optional[Dataset], path: Path) -> Trainer:
        """Continues from a file of `save`, bit for bit as if training had never stopped. `unet`
        must have the file's options, as Unet.load gives, and receives its weights."""
        made = cls.__new__(cls)
        made._create(core_of(unet, dataset), "trainer", "dm_trainer_resume",
                     (unet, dataset, os.fsencode(path)), _made_from(unet, dataset))
        made._unet, made._context = unet, unet.context
        return made

    @classmethod
    def resume_changed(cls, unet: Unet, dataset: Optional[Dataset], path: Path,
                       options: Optional[TrainerOptions] = None,
                       **members: Unpack[TrainerOptionsMembers]) -> Trainer:
        """As `resume`, with other options, and perhaps other data: the next step is taken with
        them, at the file's step and position in the data. Takes a TrainerOptions, by default the
        file's, or members that change. distill_steps must stay. An EMA that the file lacks begins
        as the weights; recorded losses begin anew where they do not fit. A dataset with another
        number of images is reported through the log."""
        if options is None:
            options = cls.load_options(unet.context, path)
        memory = options_of(TrainerOptions, options, dict(members))._filled()
        made = cls.__new__(cls)
        made._create(core_of(unet, dataset), "trainer", "dm_trainer_resume_changed",
                     (unet, dataset, os.fsencode(path), memory.bytes), _made_from(unet, dataset))
        made._unet, made._context = unet, unet.context
        return made

    @staticmethod
    def load_info(context: Context, path: Path) -> CheckpointInfo:
        """How far the training of a file of `save` has come; of a file of Unet.save only
        null_class is known."""
        memory = Memory("dm_checkpoint_info")
        core_of(context).call("dm_checkpoint_load_info", context, os.fsencode(path), None,
                              memory.bytes)
        info: CheckpointInfo = CheckpointInfo._from(memory)
        return info

    @staticmethod
    def load_options(context: Context, path: Path) -> TrainerOptions:
        """The options of a file of `save`."""
        memory = Memory("dm_trainer_options")
        core_of(context).call("dm_checkpoint_load_info", context, os.fsencode(path), memory.bytes,
                              None)
        options: TrainerOptions = TrainerOptions._from(memory)
        return options

    @classmethod
    def resume_bytes(cls, unet: Unet, dataset: Optional[Dataset], data: Any) -> Trainer:
        """As `resume`, from the file's bytes."""
        made, array = cls.__new__(cls), _arrays.as_bytes("data", data)
        made._create(core_of(unet, dataset), "trainer", "dm_trainer_resume_memory",
                     (unet, dataset, array.ctypes.data, array.size), _made_from(unet, dataset))
        made._unet, made._context = unet, unet.context
        return made

    @property
    def unet(self) -> Unet:
        """The network that is trained."""
        return self._unet

    @property
    def options(self) -> TrainerOptions:
        """A copy of the options."""
        memory = Memory("dm_trainer_options")
        self._core.call("dm_trainer_get_options", self, memory.bytes, len(memory.bytes))
        options: TrainerOptions = TrainerOptions._from(memory)
        return options

    def step(self) -> TrainStats:
        """One step on the dataset's next images. NotFinite if loss or gradient are not finite: the
        step counts, but nothing else changes."""
        stats = Memory("dm_train_stats")
        self._core.call("dm_trainer_step", self, stats.bytes)
        made: TrainStats = TrainStats._from(stats)
        return made

    def step_batch(self, images: Any, labels: Any = None, noise: Any = None,
                   timesteps: Any = None, *, condition_image: Any = None,
                   condition_vector: Any = None) -> TrainStats:
        """One step on given images, [batch_size * accumulation, height, width, channels] in
        [-1, 1], with labels [count], noise like images, timesteps [count] from 0 to T - 1, and
        condition_image [count, height, width, condition_channels] and condition_vector
        [count, condition_size], which are zeros if None."""
        batch, stats = Memory("dm_train_batch"), Memory("dm_train_stats")
        images = _arrays.as_input("images", images, np.float32)
        batch.set("count", images.shape[0] if images.ndim else 0)
        if noise is not None:
            batch.set_array("noise", _arrays.as_input("noise", noise, np.float32, images.shape))
        batch.set_array("images", images)
        for name, values in (("labels", labels), ("timesteps", timesteps)):
            if values is not None:
                batch.set_array(name, _arrays.as_input(name, values, np.int32, copy=True))
        set_conditions(batch, condition_image, condition_vector)
        self._core.call("dm_trainer_step_batch", self, batch.bytes, stats.bytes)
        made: TrainStats = TrainStats._from(stats)
        return made

    def run(self, steps: int,
            progress: Union[bool, Callable[[TrainStats], Any], None] = None) -> None:
        """Trains until `steps` steps are done, counted from the trainer's first.

        progress(stats) is called after every step and stops the run by returning true (Cancelled);
        what it raises comes out of here. True shows a bar of tqdm, or a line without tqdm. Signal
        handlers run between steps, so that Ctrl-C stops the run with KeyboardInterrupt after the
        current step, and the trainer stays usable. Ten steps in a row that are not finite raise
        NotFinite.
        """
        function, end = _callbacks.bar(
            progress, steps, lambda stats: (stats.step, f"loss {stats.loss:.4f}", steps))
        with _callbacks.registered(core_of(self), function) as key:
            try:
                self._core.call("dm_trainer_run", self, _number("steps", steps, 63),
                                _callbacks.on_train, key)
            finally:
                end()

    @property
    def steps_done(self) -> int:
        """Steps done since the trainer's first."""
        step = ctypes.c_uint64()
        self._core.call("dm_trainer_get_step", self, ctypes.byref(step))
        return step.value

    def set_learning_rate(self, learning_rate: float) -> None:
        """Replaces learning_rate, before warm-up and schedule."""
        self._core.call("dm_trainer_set_learning_rate", self, float(learning_rate))

    def set_teacher(self, teacher: Unet) -> None:
        """Progressive distillation with distill_steps above 0: the teacher whose DDIM steps the
        network learns to take two at a time. Once, before the first step. It is of the trainer's
        context, is only read, and is kept by the trainer."""
        self._core.call("dm_trainer_set_teacher", self, teacher)

    def get_ema(self, index: int = 0, target: Optional[Unet] = None) -> Unet:
        """Copies an EMA of the weights to `target`, a network with the same options that this
        trainer does not train, or to a new one. WrongState if that EMA is not kept."""
        if target is None:
            target = Unet(self._unet.context, self._unet.options)
        self._core.call("dm_trainer_get_ema", self, _number("index", index, 31), target)
        return target

    def save(self, path: Path) -> None:
        """Writes everything that `resume` needs, and the network, to one safetensors file."""
        self._core.call("dm_trainer_save", self, os.fsencode(path))

    def to_bytes(self) -> bytes:
        """The bytes that `save` writes."""
        return _saved(self, "dm_trainer_save_memory", (self,))

    def cancel(self) -> None:
        """Stops the run in progress after its current step with Cancelled; if none is, the next
        call that would do a step. May be called at any time, from any thread."""
        self._property("dm_trainer_cancel")

    def __repr__(self) -> str:
        return "<closed Trainer>" if self.closed else f"<Trainer of {self._unet!r}>"


def _made_from(*handles: Optional[Handle]) -> tuple[Handle, ...]:
    return tuple(handle for handle in handles if handle is not None)
