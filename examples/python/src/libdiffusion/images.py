# SPDX-License-Identifier: MIT
"""Images: conversion, grids, PNG files, notebooks."""
from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from . import _arrays
from ._errors import check
from ._generated import ImageAnimation, ImageGridOptions
from ._library import dll
from ._struct import options_of
from ._utility import utility
from .unet import Path

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._generated import ImageAnimationMembers, ImageGridOptionsMembers


def to_u8(images: Any, out: Optional[np.ndarray] = None) -> np.ndarray:
    """uint8 round((x + 1) * 127.5), clamped to 0 to 255, of float images in [-1, 1]."""
    images = _arrays.as_input("images", images, np.float32)
    out = _arrays.as_output("out", out, np.uint8, images.shape)
    check(dll.dm_image_to_u8(out.ctypes.data, images.ctypes.data, images.size))
    return out


def from_u8(pixels: Any, out: Optional[np.ndarray] = None) -> np.ndarray:
    """float32 x / 127.5 - 1 of uint8 pixels."""
    pixels = _arrays.as_input("pixels", pixels, np.uint8)
    out = _arrays.as_output("out", out, np.float32, pixels.shape)
    check(dll.dm_image_from_u8(out.ctypes.data, pixels.ctypes.data, pixels.size))
    return out


def _pixels(images: Any, axes: int) -> np.ndarray:
    """uint8 images with `axes` axes, the last of them channels; floats are converted."""
    if hasattr(images, "detach"):
        images = images.detach().cpu()
    array = np.asarray(images)
    array = to_u8(array) if array.dtype.kind == "f" else _arrays.as_input("images", array, np.uint8)
    if array.ndim == axes - 1:
        array = array[..., np.newaxis]  # grey
    if array.ndim != axes:
        raise ValueError(f"images has shape {array.shape}; it must have {axes} axes, the last of "
                         "them channels")
    if array.shape[-1] not in (1, 3, 4):
        raise ValueError(f"images has {array.shape[-1]} channels; it must have 1, 3 or 4")
    return array


def draw_grid(images: Any, options: Optional[ImageGridOptions] = None,
              **members: Unpack[ImageGridOptionsMembers]) -> np.ndarray:
    """Draws images [count, height, width, channels], uint8 or floats in [-1, 1], as one image with
    a white gap around each, uint8 [height, width, channels]. Takes an ImageGridOptions or its
    members columns, scale and gap; sizes and count are those of the array."""
    array = _pixels(images, 4)
    count, height, width, channels = array.shape
    given: Any = options_of(ImageGridOptions, options, dict(members)).replace(
        height=height, width=width, channels=channels, count=count)
    memory = given._filled()
    size = ctypes.c_int32(), ctypes.c_int32()
    check(dll.dm_image_grid_size(memory.bytes, *map(ctypes.byref, size)), f"bad {given!r}")
    grid = np.empty((size[0].value, size[1].value, channels), np.uint8)
    check(dll.dm_image_draw_grid(memory.bytes, grid.ctypes.data, grid.size, array.ctypes.data,
                                 array.size))
    return grid


def encode_png(image: Any) -> bytes:
    """The bytes of a PNG of one image [height, width, channels], uint8 or floats in [-1, 1]."""
    array, size = _pixels(image, 3), ctypes.c_size_t()
    arguments = array.ctypes.data, array.size, *array.shape
    utility.call("dm_image_encode_png", None, 0, ctypes.byref(size), *arguments)
    buffer = np.empty(size.value, np.uint8)
    utility.call("dm_image_encode_png", buffer.ctypes.data, buffer.size, ctypes.byref(size),
                 *arguments)
    return buffer[:size.value].tobytes()


def write_png(path: Path, image: Any) -> None:
    """Writes one image [height, width, channels], uint8 or floats in [-1, 1], as a PNG file."""
    array = _pixels(image, 3)
    utility.call("dm_image_write_png", os.fsencode(path), array.ctypes.data, array.size,
                 *array.shape)


def write_apng(path: Path, images: Any, options: Optional[ImageAnimation] = None,
               **members: Unpack[ImageAnimationMembers]) -> None:
    """Writes frames [frames, height, width, channels] as an animated PNG that loops for
    ever. Takes an ImageAnimation or its members delay_ms and last_delay_ms."""
    array = _pixels(images, 4)
    count, height, width, channels = array.shape
    given: Any = options_of(ImageAnimation, options, dict(members)).replace(
        height=height, width=width, channels=channels, frames=count)
    utility.call("dm_image_write_apng", os.fsencode(path), array.ctypes.data, array.size,
                 given._filled().bytes)


def to_pil(image: Any) -> Any:
    """One image as a PIL.Image; PIL is imported here."""
    from PIL import Image  # type: ignore[import-not-found,unused-ignore]
    array = _pixels(image, 3)
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


class Picture:
    """A picture that notebooks show. `pixels` is uint8 [height, width, channels].

    Made from one image or from several, which become a grid; takes an ImageGridOptions or its
    members columns, scale and gap for the grid.
    """

    def __init__(self, images: Any, options: Optional[ImageGridOptions] = None,
                 **members: Unpack[ImageGridOptionsMembers]) -> None:
        if options is None and not members and np.ndim(images) < 4:
            self.pixels = _pixels(images, 3)
        else:
            self.pixels = draw_grid(images if np.ndim(images) == 4 else [images], options,
                                    **members)

    def save(self, path: Path) -> None:
        """Writes a PNG file."""
        write_png(path, self.pixels)

    def to_pil(self) -> Any:
        """The picture as a PIL.Image."""
        return to_pil(self.pixels)

    def _repr_png_(self) -> bytes:
        return encode_png(self.pixels)

    def __repr__(self) -> str:
        return f"<Picture {self.pixels.shape}>"
