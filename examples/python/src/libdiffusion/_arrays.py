# SPDX-License-Identifier: MIT
"""Conversion and checks of numpy arrays on their way into and out of the library."""
from __future__ import annotations

from typing import Any, Optional

import numpy as np

_KINDS = {np.float32: "a real", np.float64: "a real", np.uint8: "an integer",
          np.int32: "an integer", np.uint64: "an integer"}


def as_input(name: str, value: Any, dtype: Any, shape: Optional[tuple[int, ...]] = None,
             copy: bool = False) -> np.ndarray:
    """`value` as a C-contiguous array of `dtype`. An array that is one already is returned itself
    unless `copy` is set; real numbers become floats and integers other integers if they fit; all
    else is refused. `shape` is checked if given."""
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a tensor of PyTorch
        value = value.detach().cpu()
    array = np.asarray(value)
    allowed = "fiub" if dtype in (np.float32, np.float64) else "iub"
    if array.dtype.kind not in allowed:
        if array.size:
            hint = "; to_u8 converts images in [-1, 1]" if dtype is np.uint8 else ""
            raise TypeError(f"{name} holds {array.dtype}; it must be {_KINDS[dtype]} array that "
                            f"can become {np.dtype(dtype).name}{hint}")
        array = array.astype(dtype)
    if array.dtype != dtype and allowed == "iub" and array.size:
        limits = np.iinfo(dtype)
        low, high = int(array.min()), int(array.max())
        if low < limits.min or high > limits.max:
            raise ValueError(f"{name} holds {low if low < limits.min else high}, which does not "
                             f"fit {np.dtype(dtype).name}")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; it must be {shape}")
    if copy:
        return np.array(array, dtype=dtype, order="C", copy=True, subok=False)
    return np.require(array, dtype=dtype, requirements=["C", "A"])


def as_output(name: str, out: Any, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A new array, or `out` if it can take the result as it is."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name} is {type(out).__name__}; it must be a numpy array")
    if out.dtype != dtype or out.shape != shape:
        raise ValueError(f"{name} is {out.dtype} {out.shape}; it must be "
                         f"{np.dtype(dtype).name} {shape}")
    if not (out.flags.c_contiguous and out.flags.writeable and out.flags.aligned):
        raise ValueError(f"{name} must be C-contiguous, aligned and writable")
    return out


def as_bytes(name: str, value: Any) -> np.ndarray:
    """The memory of a bytes-like object, without a copy."""
    try:
        view = memoryview(value).cast("B")
    except TypeError:
        raise TypeError(f"{name} is {type(value).__name__}; it must be a contiguous bytes-like "
                        "object") from None
    return np.frombuffer(view, np.uint8) if len(view) else np.empty(0, np.uint8)
