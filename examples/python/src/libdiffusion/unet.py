# SPDX-License-Identifier: MIT
"""The network."""
from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from . import _arrays, _callbacks
from ._core import Handle
from ._errors import check
from ._generated import (DiffusersOptions, Evaluation, EvaluationOptions, Initialization,
                         Precision, Preset, SamplerOptions, TensorInfo, UnetOptions, Weights)
from ._library import decode, dll
from ._struct import Memory, options_of
from .context import Context, Object, core_of
from .schedule import Schedule

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._generated import (DiffusersOptionsMembers, EvaluationOptionsMembers,
                             UnetOptionsMembers)
    from .dataset import Dataset

Path = Union[str, "os.PathLike[str]"]


def preset(name: Union[Preset, str], **members: Any) -> UnetOptions:
    """The options of a preset such as "ddpm_cifar10", with some members changed."""
    memory = Memory("dm_unet_options")
    check(dll.dm_unet_options_preset(memory.bytes, len(memory.bytes), int(Preset(name))))
    options: UnetOptions = UnetOptions._from(memory)
    return options.replace(**members) if members else options


class Unet(Object):
    """A U-Net with weights drawn from `seed`.

    Takes a UnetOptions or its members. Parameters have the names and shapes of diffusers'
    UNet2DModel. Images are [count, height, width, channels].
    """

    def __init__(self, context: Context, options: Optional[UnetOptions] = None, *, seed: int = 0,
                 **members: Unpack[UnetOptionsMembers]) -> None:
        memory = options_of(UnetOptions, options, dict(members))._filled()
        self._make(context, "create", memory.bytes, _seed(seed))

    def _make(self, context: Context, function: str, *arguments: Any,
              parents: tuple[Handle, ...] = ()) -> None:
        context.native
        self._create(context._core, "unet", "dm_unet_" + function, (context, *arguments),
                     (context, *parents))
        self._context = context

    @classmethod
    def load(cls, context: Context, path: Path, weights: Union[Weights, str] = "default") -> Unet:
        """From a safetensors file of Unet.save or Trainer.save. `weights` says which: "default" is
        the first EMA where the file has one, else the trained weights; "trained", "ema", "ema_1"
        and so on. `path` may also be what load_diffusers reads. Raises NotFound, InputOutput,
        BadFormat, UnsupportedVersion, Checksum, NotFinite, ShapeMismatch or Unsupported."""
        made = cls.__new__(cls)
        made._make(context, "load", os.fsencode(path), int(Weights(weights)))
        return made

    @classmethod
    def from_bytes(cls, context: Context, data: Any,
                   weights: Union[Weights, str] = "default") -> Unet:
        """As `load`, from the file's bytes."""
        made, array = cls.__new__(cls), _arrays.as_bytes("data", data)
        made._make(context, "load_memory", array.ctypes.data, array.size, int(Weights(weights)))
        return made

    @classmethod
    def load_diffusers(cls, context: Context, path: Path,
                       options: Optional[DiffusersOptions] = None,
                       **members: Unpack[DiffusersOptionsMembers]) -> Unet:
        """A network of diffusers' UNet2DModel. `path` is the folder of a pipeline or of a model, or
        a safetensors file with config.json beside it. Takes a DiffusersOptions or its members.
        Raises what `load` does."""
        made, memory = cls.__new__(cls), options_of(DiffusersOptions, options,
                                                    dict(members))._filled()
        made._make(context, "load_diffusers", os.fsencode(path), memory.bytes)
        return made

    def share(self, context: Context) -> Unet:
        """A second handle, in another context or this one, on the same weights, so that several
        threads sample from one copy. Weights cannot be changed while shares exist."""
        made = type(self).__new__(type(self))
        made._make(context, "share", self, parents=(self,))
        return made

    def initialize(self, kind: Union[Initialization, str] = "ddpm", *, seed: int = 0) -> None:
        """Replaces all weights by new ones. WrongState while the network has a trainer or
        shares."""
        self._core.call("dm_unet_initialize", self, int(Initialization(kind)), _seed(seed))

    def set_tiling(self, horizontal: bool, vertical: bool) -> None:
        """Makes convolutions read pixels of the opposite border beyond the left and right border,
        or the upper and lower one, so that images continue when they are laid side by side."""
        self._core.call("dm_unet_set_tiling", self, bool(horizontal), bool(vertical))

    def set_precision(self, precision: Union[Precision, str]) -> None:
        """The precision of forward passes from now on: "f32" or "bf16"."""
        self._core.call("dm_unet_set_precision", self, int(Precision(precision)))

    def save(self, path: Path, schedule: Optional[Schedule] = None, *,
             precision: Union[Precision, str] = "f32") -> None:
        """Writes one safetensors file with options, weights rounded to `precision` and, if given,
        the schedule."""
        self._core.call("dm_unet_save_as", self, schedule, os.fsencode(path),
                        int(Precision(precision)))

    def to_bytes(self, schedule: Optional[Schedule] = None, *,
                 precision: Union[Precision, str] = "f32") -> bytes:
        """The bytes that `save` writes."""
        return _saved(self, "dm_unet_save_memory_as", (self, schedule),
                      int(Precision(precision)))

    def save_diffusers(self, folder: Path, schedule: Schedule,
                       sampler: Optional[SamplerOptions] = None, *,
                       precision: Union[Precision, str] = "f32") -> None:
        """Writes the folder of a pipeline of diffusers, whose scheduler `sampler` describes;
        without it, that of the solver "ddpm". Raises Unsupported, with the option's name, for what
        diffusers cannot express."""
        memory = options_of(SamplerOptions, sampler, {})._filled() if sampler is not None else None
        self._core.call("dm_unet_save_diffusers", self, schedule,
                        memory.bytes if memory is not None else None, os.fsencode(folder),
                        int(Precision(precision)))

    @property
    def options(self) -> UnetOptions:
        """A copy of the options."""
        memory = Memory("dm_unet_options")
        self._core.call("dm_unet_get_options", self, memory.bytes, len(memory.bytes))
        options: UnetOptions = UnetOptions._from(memory)
        return options

    def set_class_names(self, names: Optional[Sequence[str]]) -> None:
        """Sets the names of the classes, which files keep: options.classes of them, or None for
        none. Each is of 1 to 255 bytes in UTF-8 and has no control characters. A network without
        names gets those of the dataset when it is trained. WrongState while the network has a
        trainer or shares."""
        array = _names(names)
        self._core.call("dm_unet_set_class_names", self, array,
                        0 if array is None else len(array))

    def class_name(self, label: int) -> Optional[str]:
        """"airplane"; None if the label has no name. Not while another thread sets names."""
        if not -(1 << 31) <= label < 1 << 31:
            return None
        name = self._property("dm_unet_class_name", label)
        return decode(name) if name is not None else None

    @property
    def parameter_count(self) -> int:
        """The number of parameters."""
        return int(self._property("dm_unet_parameter_count"))

    def tensors(self) -> list[TensorInfo]:
        """The parameters' names and shapes, in the order in which the network uses them."""
        found = []
        with self._pinned() as pointer:  # names are valid as long as the network
            for index in range(dll.dm_unet_tensor_count(pointer)):
                memory = Memory("dm_tensor_info")
                self._core.call("dm_unet_get_tensor_info", self, index, memory.bytes)
                info = TensorInfo._from(memory)
                info._objects["name"] = decode(ctypes.c_char_p(memory.get("name")).value)
                memory.set("name", 0)
                found.append(info)
        return found

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {info.name: info.shape[:info.rank] for info in self.tensors()}

    def get_tensor(self, name: str) -> np.ndarray:
        """A copy of one parameter, [out, in, k, k], [out, in] or [n]. NotFound if there is none
        of that name."""
        values = np.empty(self._shapes().get(name, (0,)), np.float32)
        self._core.call("dm_unet_get_tensor", self, name.encode(), values.ctypes.data, values.size)
        return values

    def set_tensor(self, name: str, values: Any) -> None:
        """Replaces one parameter. The shape must be its own; infinities and NaN are refused."""
        if hasattr(values, "detach"):  # a tensor of PyTorch, perhaps of a type numpy has not
            values = values.detach().float()
        array = _arrays.as_input(name, values, np.float32)
        shape = (ctypes.c_int64 * max(array.ndim, 1))(*array.shape)
        self._core.call("dm_unet_set_tensor", self, name.encode(), array.ctypes.data, array.size,
                        shape, array.ndim)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters by name."""
        found = {}
        for name, shape in self._shapes().items():
            found[name] = values = np.empty(shape, np.float32)
            self._core.call("dm_unet_get_tensor", self, name.encode(), values.ctypes.data,
                            values.size)
        return found

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replaces all parameters by the arrays, or tensors of PyTorch, of a mapping with exactly
        their names and shapes. KeyError or ValueError, and nothing changed, where they differ."""
        shapes = self._shapes()
        missing, unknown = sorted(shapes.keys() - state.keys()), sorted(state.keys() - shapes)
        if missing or unknown:
            raise KeyError(f"missing: {', '.join(missing) or 'none'}; "
                           f"unknown: {', '.join(unknown) or 'none'}")
        for name, shape in shapes.items():
            if tuple(state[name].shape) != shape:
                raise ValueError(f"{name} has shape {tuple(state[name].shape)}; it must be {shape}")
        for name in shapes:
            self.set_tensor(name, state[name])

    def torch_state_dict(self) -> dict[str, Any]:
        """state_dict() as tensors of PyTorch, which is imported here."""
        import torch  # type: ignore[import-not-found,unused-ignore]
        return {name: torch.from_numpy(values) for name, values in self.state_dict().items()}

    def forward(self, x: Any, times: Any, labels: Any = None,
                out: Optional[np.ndarray] = None, *, condition_image: Any = None,
                condition_vector: Any = None) -> np.ndarray:
        """One forward pass without dropout.

        x: [count, height, width, in_channels], twice the channels with self_conditioning. times:
        [count] or one number, the network's time input (Schedule.series("time")). labels: [count]
        integers, -1 for no class. condition_image: [count, height, width, condition_channels].
        condition_vector: [count, condition_size]. A condition that is None is zeros. Returns
        [count, height, width, out_channels], twice the channels with learned_variance, in `out` if
        given.
        """
        memory, shape = self._input(x, times, labels, condition_image, condition_vector)
        out = _arrays.as_output("out", out, np.float32, shape)
        self._core.call("dm_unet_forward", self, memory.bytes, out.ctypes.data, out.size)
        return out

    def _input(self, x: Any, times: Any, labels: Any, condition_image: Any,
               condition_vector: Any) -> tuple[Memory, tuple[int, ...]]:
        """The struct of a forward pass, and the shape of its output."""
        options = self.options
        x = _arrays.as_input("x", x, np.float32)
        count = x.shape[0] if x.ndim else 0
        channels = options.out_channels * (2 if options.learned_variance else 1)
        times = np.broadcast_to(_arrays.as_input("times", times, np.float64), (count,)) \
            if np.ndim(times) == 0 else times
        memory = Memory("dm_unet_input")
        memory.set("count", count)
        memory.set_array("x", x)
        memory.set_array("times", _arrays.as_input("times", times, np.float64))
        if labels is not None:
            memory.set_array("labels", _arrays.as_input("labels", labels, np.int32, copy=True))
        set_conditions(memory, condition_image, condition_vector)
        return memory, (count, options.height, options.width, channels)

    def input_gradient(self, x: Any, times: Any, output_gradient: Any, labels: Any = None, *,
                       condition_image: Any = None, condition_vector: Any = None,
                       out: Optional[np.ndarray] = None,
                       output: Optional[np.ndarray] = None) -> np.ndarray:
        """The gradient of the sum of output_gradient * forward(x, times, labels) with respect to x,
        of x's shape, in `out` if given. `output`, if given, receives what `forward` returns."""
        memory, shape = self._input(x, times, labels, condition_image, condition_vector)
        weight = _arrays.as_input("output_gradient", output_gradient, np.float32, shape)
        if output is not None:
            output = _arrays.as_output("output", output, np.float32, shape)
        out = _arrays.as_output("out", out, np.float32, memory.kept["x"].shape)
        self._core.call("dm_unet_input_gradient", self, memory.bytes, weight.ctypes.data,
                        weight.size, None if output is None else output.ctypes.data,
                        out.ctypes.data, out.size)
        return out

    def evaluate(self, schedule: Schedule, dataset: Dataset,
                 options: Optional[EvaluationOptions] = None, *,
                 progress: Union[bool, Callable[[int, int], Any], None] = None,
                 **members: Unpack[EvaluationOptionsMembers]) -> Evaluation:
        """The variational bound on the likelihood of the dataset's images in bits per value, and
        the prediction error by quarters of the timesteps.

        Takes an EvaluationOptions or its members. progress(done, total) is called after each model
        evaluation and stops the work by returning true (Cancelled); True shows a bar.
        """
        memory = options_of(EvaluationOptions, options, dict(members))._filled()
        result = Memory("dm_evaluation")
        core = core_of(self, schedule, dataset)
        function, end = _callbacks.bar(progress, None, lambda done, total: (done, "", total))
        with _callbacks.registered(core, function) as key:
            try:
                core.call("dm_unet_evaluate", self, schedule, dataset, memory.bytes,
                          _callbacks.on_evaluate, key, result.bytes)
            finally:
                end()
        evaluation: Evaluation = Evaluation._from(result)
        return evaluation

    def __repr__(self) -> str:
        return "<closed Unet>" if self.closed else f"<Unet, {self.parameter_count} parameters>"


def set_conditions(memory: Memory, image: Any, vector: Any) -> None:
    """Points a struct to the conditions that are given."""
    for name, values in (("condition_image", image), ("condition_vector", vector)):
        if values is not None:
            memory.set_array(name, _arrays.as_input(name, values, np.float32))


def _names(names: Optional[Sequence[str]]) -> Any:
    """Names as an array of C strings, or None. It must be kept while the library reads them."""
    if names is None or len(names) == 0:
        return None
    if isinstance(names, (str, bytes)) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"class names are {names!r}; they must be strings")
    if any("\0" in name for name in names):
        raise ValueError("a class name contains a zero character")
    encoded = [name.encode() for name in names]
    return (ctypes.c_char_p * len(encoded))(*encoded)


def set_names(memory: Memory, names: Optional[Sequence[str]]) -> None:
    """Points a struct to names of classes."""
    array = _names(names)
    if array is not None:
        memory.kept["class_names"] = array
        memory.set("class_names", ctypes.addressof(array))
        memory.set("class_name_count", len(array))


def _seed(seed: int) -> int:
    if not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed is {seed!r}; it must be an integer")
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"seed is {seed}; it must be from 0 to 2^64 - 1")
    return int(seed)


def _saved(handle: Any, function: str, first: tuple[Any, ...], *last: Any) -> bytes:
    """The bytes of a save function, which is called for their number first. Its arguments are
    `first`, the buffer, and `last`."""
    size = ctypes.c_size_t()
    handle._core.call(function, *first, None, 0, ctypes.byref(size), *last)
    buffer = np.empty(size.value, np.uint8)
    handle._core.call(function, *first, buffer.ctypes.data, buffer.size, ctypes.byref(size), *last)
    return buffer[:size.value].tobytes()
