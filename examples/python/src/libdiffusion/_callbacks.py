# SPDX-License-Identifier: MIT
"""The functions that the library calls. There is one C function for each kind, which lives as long
as the process; its first argument is the key of the Python function to call. An exception is noted
in the context and stops the run; the call that was in progress raises it."""
from __future__ import annotations

import contextlib
import ctypes
import itertools
import sys
import threading
import time
from ctypes import c_char_p, c_int32, c_size_t, c_uint64, c_void_p
from typing import Any, Callable, Iterator, NamedTuple, Optional

import numpy as np

from . import _arrays, _signals
from ._core import Core
from ._generated import (DenoiserInput, GuidanceStep, LogLevel, NoiseRequest, SamplerProgress,
                         TrainStats)
from ._library import decode
from ._struct import WRITABLE, Lazy, at_address
from ._tables import MEMBERS

_keys = itertools.count(1)
_slots: dict[int, tuple[Core, Any]] = {}


class Reader(NamedTuple):
    """What a dataset registers: read(index, epoch) and prefetch(indices)."""
    read: Callable[[int, int], Any]
    prefetch: Optional[Callable[[list[int]], Any]]


def _callback(*types: Any) -> Callable[[Callable[..., Any]], Any]:
    """Makes a C function of a Python one; `types` are those of the result and the parameters."""
    return ctypes.CFUNCTYPE(*types)


def register(core: Core, function: Any) -> int:
    """A key for `function`, or a Reader, valid until `forget`."""
    key = next(_keys)
    _slots[key] = core, function
    return key


def forget(key: Optional[int]) -> None:
    if key is not None:
        _slots.pop(key, None)


@contextlib.contextmanager
def registered(core: Core, function: Callable[..., Any]) -> Iterator[int]:
    key = register(core, function)
    try:
        yield key
    finally:
        forget(key)


def _guard(key: int, body: Callable[[Core, Any], Any], tell: bool = True) -> int:
    """Runs `body`; 1 if it returns true or raises. `tell`: the library may be told why."""
    core = None
    try:
        core, function = _slots[key]
        _signals.deliver()
        return 1 if body(core, function) else 0
    except BaseException as exception:  # nothing may pass through the C frame
        if core is not None:
            core.failed(exception, tell)
        return 1


def _floats(address: int, count: int) -> np.ndarray:
    """The memory of `count` floats as an array, to be written while a callback runs."""
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address))


def _write(name: str, target: np.ndarray, value: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    target[...] = _arrays.as_input(f"the result of {name}", value, dtype, shape).ravel()


@_callback(c_int32, c_void_p, c_void_p)
def on_train(key: int, stats: int) -> int:
    return _guard(key, lambda core, function: function(
        TrainStats._from(at_address("dm_train_stats", stats))))


@_callback(c_int32, c_void_p, c_uint64, c_uint64)
def on_evaluate(key: int, done: int, total: int) -> int:
    return _guard(key, lambda core, function: function(done, total))


@_callback(c_int32, c_void_p, c_void_p)
def on_sample(key: int, address: int) -> int:
    return _guard(key, lambda core, function: function(address))


def on_progress(function: Callable[[SamplerProgress], Any],
                shape: tuple[int, ...]) -> Callable[[int], Any]:
    """What to register for on_sample; `shape` is that of one image."""
    def body(address: int) -> Any:
        progress = SamplerProgress._from(at_address("dm_sampler_progress", address))
        memory = progress._memory
        lazies = {name: Lazy(memory.get(name), (progress.count, *shape), np.float32)
                  for name in ("x_t", "x_0")}
        progress._objects.update(lazies)
        try:
            return function(progress)
        finally:  # the arrays end with the callback
            for name, lazy in lazies.items():
                lazy.address = 0
                memory.set(name, 0)
    return body


def on_guide(function: Callable[[GuidanceStep], Any],
             shape: tuple[int, ...]) -> Callable[[int], Any]:
    """What to register for on_sample; `shape` is that of one image. The function gets copies of the
    arrays, and what it leaves in x_0 and eps is copied back."""
    def body(address: int) -> None:
        step = GuidanceStep._from(at_address("dm_guidance_step", address))
        memory, whole = step._memory, (step.count, *shape)
        targets = {}
        for name, dtype in (("x", np.float32), ("labels", np.int32), ("x_0", np.float64),
                            ("eps", np.float64)):
            place = targets[name] = memory.get(name)
            size = whole[:1] if name == "labels" else whole
            step._objects[name] = Lazy(place, size, dtype)() if place else None
            memory.set(name, 0)
        function(step)
        for name in ("x_0", "eps"):
            array = _arrays.as_input(f"GuidanceStep.{name}", getattr(step, name),
                                     WRITABLE["dm_guidance_step"][name], whole)
            ctypes.memmove(targets[name], array.ctypes.data, array.nbytes)
        offset = MEMBERS["dm_guidance_step"]["rederive"].offset
        c_int32.from_address(address + offset).value = memory.get("rederive")
    return body


@_callback(c_int32, c_void_p, c_void_p, c_void_p, c_size_t)
def on_noise(key: int, address: int, noise: int, size: int) -> int:
    def body(core: Core, function: Callable[..., Any]) -> None:
        request = NoiseRequest._from(at_address("dm_noise_request", address))
        _write("the noise source", _floats(noise, size), function(request), np.float32,
               (request.count, request.elements))
    return _guard(key, body)


@_callback(c_int32, c_void_p, c_void_p, c_void_p, c_size_t)
def on_denoise(key: int, address: int, output: int, elements: int) -> int:
    def body(core: Core, function: Callable[..., Any]) -> None:
        given = DenoiserInput._from(at_address("dm_denoiser_input", address))
        shape = (given.count, given.height, given.width, given.channels)
        given._objects["x"] = Lazy(given._memory.get("x"), shape, np.float32)()
        labels = given._memory.get("labels")
        given._objects["labels"] = Lazy(labels, shape[:1], np.int32)() if labels else None
        for name, start in (("condition_image", shape[:3]), ("condition_vector", shape[:1])):
            size = given._memory.get(name + "_elements") // int(np.prod(start))
            pointer = given._memory.get(name)
            given._objects[name] = Lazy(pointer, (*start, size), np.float32)() if pointer else None
        for member in MEMBERS["dm_denoiser_input"].values():
            if member.type == "pointer":
                given._memory.set(member.name, 0)
        _write("the denoiser", _floats(output, elements), function(given), np.float32, shape)
    return _guard(key, body)


@_callback(c_int32, c_void_p, c_void_p)
def on_read(key: int, address: int) -> int:
    def body(core: Core, reader: Reader) -> None:
        members = MEMBERS["dm_dataset_item"]
        item = at_address("dm_dataset_item", address)
        pixels, label, image, vector = reader.read(item.get("index"), item.get("epoch"))
        for name, array in (("pixels", pixels), ("condition_image", image),
                            ("condition_vector", vector)):
            if array is not None:  # of the checked shape and C-contiguous
                ctypes.memmove(item.get(name), array.ctypes.data, array.nbytes)
        c_int32.from_address(address + members["label"].offset).value = label
    return _guard(key, body)


@_callback(None, c_void_p, c_void_p, c_size_t)
def on_prefetch(key: int, indices: int, count: int) -> None:
    _guard(key, lambda core, reader: reader.prefetch(
        list((c_uint64 * count).from_address(indices))), tell=False)


@_callback(None, c_void_p, c_int32, c_char_p)
def on_log(key: int, level: int, message: bytes) -> None:
    _guard(key, lambda core, function: function(LogLevel(level), decode(message)),
           tell=False)


_BODY = ctypes.CFUNCTYPE(None, c_void_p, c_int32)


@_callback(None, c_void_p, c_int32, c_void_p, c_void_p)
def on_parallel(key: int, count: int, address: int, data: int) -> None:
    left, running, ended = set(range(count)), [0], threading.Condition()
    task = _BODY(address)

    def run(index: int) -> None:
        """Runs one task, once."""
        with ended:
            if index not in left:
                raise ValueError(f"task {index} does not exist or was run before")
            left.remove(index)
            running[0] += 1
        try:
            task(data, index)
        finally:
            with ended:
                running[0] -= 1
                ended.notify_all()

    _guard(key, lambda core, function: function(count, run) and None, tell=False)
    # The library relies on the end of all tasks, whatever the function did.
    for index in range(count):
        with contextlib.suppress(ValueError):
            run(index)
    with ended:
        ended.wait_for(lambda: running[0] == 0)


def _line(text: Callable[..., tuple[int, str, int]]) -> Any:
    """The same as bar, for a line that is written again each second."""
    last = 0.0

    def update(*arguments: Any) -> None:
        nonlocal last
        done, note, total = text(*arguments)
        now = time.monotonic()
        if done == total or now - last >= 1:
            last = now
            print(f"\r{done}/{total} {note}", end="", file=sys.stderr, flush=True)

    def end() -> None:
        print(file=sys.stderr)

    return update, end


def bar(progress: Any, total: Optional[int], text: Callable[..., tuple[int, str, int]]) -> Any:
    """The function to call and the function to end with, for `progress`: a function, True for a
    bar of tqdm or, where that is not installed, a line on standard error, or None. `text` gives
    the steps done, a note and the total."""
    if progress is not True:
        if progress is not None and progress is not False and not callable(progress):
            raise TypeError(f"progress is {progress!r}; it must be a function, True or None")
        return (progress or (lambda *_: None)), (lambda: None)
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        return _line(text)
    shown = tqdm(total=total)

    def update(*arguments: Any) -> None:
        done, note, shown.total = text(*arguments)
        if note:
            shown.set_postfix_str(note, refresh=False)
        shown.update(done - shown.n)

    return update, shown.close
