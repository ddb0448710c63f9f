# SPDX-License-Identifier: MIT
"""Sources of training images."""
from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

import numpy as np

from . import _arrays, _callbacks
from ._generated import DatasetInfo, Split
from ._library import decode
from ._struct import Memory
from .context import Context, Object
from .unet import Path, _seed, set_names


class Dataset(Object):
    """Images as uint8 [height, width, channels], each with a label, or -1 for none.

    A dataset is made by one of the class methods. len() is the number of images, and dataset[i] is
    the pair (image, label).
    """

    _info: DatasetInfo

    def __init__(self) -> None:
        raise TypeError("use Dataset.shapes, cifar10, from_arrays, from_sequence or from_function")

    @classmethod
    def _make(cls, context: Context, function: str, *arguments: Any,
              released: Callable[[], Any] = lambda: None) -> Dataset:
        made = cls.__new__(cls)
        context.native
        made._create(context._core, "dataset", "dm_dataset_" + function, (context, *arguments),
                     (context,), released)
        made._context = context
        made._info = made._get_info()
        return made

    @classmethod
    def shapes(cls, context: Context, size: int, count: int, seed: int = 0) -> Dataset:
        """Generated shapes in ten classes, `size` pixels square, 16 to 64; `count` images."""
        return cls._make(context, "create_shapes", _number("size", size, 31),
                         _number("count", count, 63), _seed(seed))

    @classmethod
    def described_shapes(cls, context: Context, size: int, count: int, seed: int = 0) -> Dataset:
        """The same with condition vectors [x, y, size, r, g, b]."""
        return cls._make(context, "create_described_shapes", _number("size", size, 31),
                         _number("count", count, 63), _seed(seed))

    def downscaled(self, factor: int) -> Dataset:
        """The same images for super-resolution: the condition image of each is the image with
        `factor` times fewer pixels in each direction, enlarged to the old size."""
        made = type(self).__new__(type(self))
        made._create(self._core, "dataset", "dm_dataset_create_downscaled",
                     (self, _number("factor", factor, 31)), (self,))
        made._context = self._context
        made._info = made._get_info()
        return made

    @classmethod
    def cifar10(cls, context: Context, path: Path, split: Union[Split, str] = "train") -> Dataset:
        """The binary version of CIFAR-10: cifar-10-binary.tar.gz itself, or the folder with its
        files. Everything is read here."""
        return cls._make(context, "load_cifar10", os.fsencode(path), int(Split(split)))

    @classmethod
    def from_arrays(cls, context: Context, pixels: Any, labels: Any = None, *,
                    copy: bool = False, condition_images: Any = None,
                    condition_vectors: Any = None, vector_invariant: bool = False,
                    class_names: Optional[Sequence[str]] = None) -> Dataset:
        """From uint8 [count, height, width, channels] (or [count, height, width], grey) and
        [count] integers. condition_images: uint8 [count, height, width, channels];
        condition_vectors: [count, size]; vector_invariant: these stay right when an image is
        flipped or cropped. class_names: of all classes, at least the largest label + 1. Without
        `copy`, C-contiguous arrays of the right type are used in place: they are kept alive, and
        must not be written to."""
        pixels = _arrays.as_input("pixels", pixels, np.uint8)
        if pixels.ndim == 3:
            pixels = pixels[..., np.newaxis]
        if pixels.ndim != 4:
            raise ValueError(f"pixels has shape {pixels.shape}; it must be "
                             "[count, height, width, channels]")
        memory = Memory("dm_dataset_memory")
        memory.set("copy", int(bool(copy)))
        for name, number in zip(("count", "height", "width", "channels"), pixels.shape):
            memory.set(name, _number(name, number, 31 if name != "count" else 63))
        memory.set_array("pixels", pixels)
        if labels is not None:
            memory.set_array("labels", _arrays.as_input("labels", labels, np.int32, copy=True))
        for name, size, values, kind in (
                ("condition_images", "condition_channels", condition_images, np.uint8),
                ("condition_vectors", "condition_size", condition_vectors, np.float32)):
            if values is not None:
                array = _arrays.as_input(name, values, kind)
                memory.set(size, array.shape[-1] if array.ndim else 0)
                memory.set_array(name, array)
        memory.set("vector_invariant", int(bool(vector_invariant)))
        set_names(memory, class_names)
        # The arrays live until the dataset's destruction: `released` holds them.
        return cls._make(context, "create_from_memory", memory.bytes,
                         released=(lambda: None) if copy else memory.kept.clear)

    @classmethod
    def from_function(cls, context: Context, read: Callable[..., Any], count: int,
                      shape: tuple[int, int, int], *, classes: int = 0,
                      fingerprint: int = 0, condition_channels: int = 0,
                      condition_size: int = 0, vector_invariant: bool = False,
                      class_names: Optional[Sequence[str]] = None, with_epoch: bool = False,
                      prefetch: Optional[Callable[[list[int]], Any]] = None) -> Dataset:
        """From read(index), which returns a uint8 image of `shape` [height, width, channels], or a
        pair of it and a label. classes: the number of labels; 0: none, or not known. fingerprint:
        a hash of the contents, kept by checkpoints; 0: not known. With condition_channels or
        condition_size, read returns (image, label, condition image, condition vector), with None
        for the one that the dataset lacks; the first is uint8 [height, width, condition_channels].
        vector_invariant: as in from_arrays. class_names: `classes` names. with_epoch: read is
        called as read(index, epoch) with the passes over the dataset before this one, 0 where it is
        not for training. prefetch(indices) is told which images read will be asked for next, in
        that order, so that other threads can prepare them; it should return at once, and what it
        raises is raised when the call of the library ends."""
        for name, function in (("read", read), ("prefetch", prefetch)):
            if not callable(function) and (name == "read" or function is not None):
                raise TypeError(f"{name} is {function!r}; it must be a function")
        if len(shape) != 3:
            raise ValueError(f"shape is {shape}; it must be (height, width, channels)")
        shape = (int(shape[0]), int(shape[1]), int(shape[2]))

        channels = _number("condition_channels", condition_channels, 31)
        numbers = _number("condition_size", condition_size, 31)
        conditioned = bool(channels or numbers)

        def get(index: int, epoch: int) -> tuple[Any, ...]:
            result = read(index, epoch) if with_epoch else read(index)
            if not isinstance(result, tuple):
                result = (result, -1)
            if len(result) != (4 if conditioned else 2):
                raise ValueError(f"read({index}) returned {len(result)} values; with conditions it "
                                 "must be (image, label, condition image, condition vector)")
            image, label, *given = result
            conditions: list[Optional[np.ndarray]] = [None, None]
            if channels:
                conditions[0] = _arrays.as_input(f"condition image {index}", given[0], np.uint8,
                                                 (*shape[:2], channels))
            if numbers:
                conditions[1] = _arrays.as_input(f"condition vector {index}", given[1], np.float32,
                                                 (numbers,))
            return (_arrays.as_input(f"image {index}", image, np.uint8, shape),
                    _number("label", label, 31), *conditions)

        key = _callbacks.register(context._core, _callbacks.Reader(get, prefetch))
        try:
            memory = Memory("dm_dataset_callback")
            memory.set("classes", _number("classes", classes, 31))
            memory.set("count", _number("count", count, 63))
            memory.set("fingerprint", _seed(fingerprint))
            memory.set("condition_channels", channels)
            memory.set("condition_size", numbers)
            memory.set("vector_invariant", int(bool(vector_invariant)))
            for name, number in zip(("height", "width", "channels"), shape):
                memory.set(name, _number(name, number, 31))
            memory.set_function("read", _callbacks.on_read, "user", key)
            if prefetch is not None:
                memory.set_function("prefetch", _callbacks.on_prefetch, "user", key)
            set_names(memory, class_names)
        except BaseException:
            _callbacks.forget(key)
            raise
        return cls._make(context, "create_from_callback", memory.bytes,
                         released=lambda: _callbacks.forget(key))

    @classmethod
    def from_sequence(cls, context: Context, images: Sequence[Any], *, classes: int = 0,
                      fingerprint: int = 0,
                      class_names: Optional[Sequence[str]] = None) -> Dataset:
        """From a sequence of images, or of pairs of image and label, read when they are needed.
        All images have the first one's shape."""
        if not len(images):
            raise ValueError("images is empty")
        first = images[0]
        shape = np.asarray(first[0] if isinstance(first, tuple) else first).shape
        if len(shape) != 3:
            raise ValueError(f"image 0 has shape {shape}; it must be [height, width, channels]")
        return cls.from_function(context, images.__getitem__, len(images), shape,
                                 classes=classes, fingerprint=fingerprint,
                                 class_names=class_names)

    def _get_info(self) -> DatasetInfo:
        memory = Memory("dm_dataset_info")
        self._core.call("dm_dataset_get_info", self, memory.bytes)
        info: DatasetInfo = DatasetInfo._from(memory)
        return info

    @property
    def info(self) -> DatasetInfo:
        """Number and size of the images, number of classes, fingerprint."""
        return self._info

    def __len__(self) -> int:
        return self._info.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        info = self._info
        wanted = index + info.count if index < 0 else index
        if not 0 <= wanted < info.count:
            raise IndexError(f"image {index} of {info.count}")
        pixels = np.empty((info.height, info.width, info.channels), np.uint8)
        label = ctypes.c_int32()
        self._core.call("dm_dataset_get_image", self, wanted, pixels.ctypes.data, pixels.size,
                        ctypes.byref(label))
        return pixels, label.value

    def condition(self, index: int) -> tuple[Optional[np.ndarray], Optional[np.ndarray]]:
        """The condition image, uint8 [height, width, channels], and vector of an image; None for
        what the dataset lacks."""
        info = self._info
        if not 0 <= index < info.count:
            raise IndexError(f"image {index} of {info.count}")
        image = np.empty((info.height, info.width, info.condition_channels), np.uint8) \
            if info.condition_channels else None
        vector = np.empty(info.condition_size, np.float32) if info.condition_size else None
        self._core.call("dm_dataset_get_condition", self, index,
                        None if image is None else image.ctypes.data,
                        0 if image is None else image.size,
                        None if vector is None else vector.ctypes.data,
                        0 if vector is None else vector.size)
        return image, vector

    def class_name(self, label: int) -> Optional[str]:
        """"airplane", "circle"; None if the label has no name."""
        name = self._property("dm_dataset_class_name", _number("label", label, 31))
        return decode(name) if name is not None else None

    def __repr__(self) -> str:
        return "<closed Dataset>" if self.closed else f"<Dataset, {self._info!r}>"


def _number(name: str, value: Any, bits: int) -> int:
    """`value` as an integer of that many bits beside its sign."""
    if not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} is {value!r}; it must be an integer")
    if not -(1 << bits) <= value < 1 << bits:
        raise ValueError(f"{name} is {value}, which is too large")
    return int(value)
