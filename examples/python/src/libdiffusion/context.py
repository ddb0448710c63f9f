# SPDX-License-Identifier: MIT
"""The context: memory, threads and notes of the library."""
from __future__ import annotations

import ctypes
import logging
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from . import _callbacks, _signals
from ._core import Core, Handle
from ._errors import error
from ._generated import ContextOptions, LogLevel, ProfileRow
from ._library import dll
from ._struct import Memory, options_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._generated import ContextOptionsMembers


class MemoryUse(NamedTuple):
    """Bytes that a context has in use, the largest number so far, and the number of allocations
    so far."""
    used: int
    peak: int
    allocations: int


def _to_logging(level: LogLevel, message: str) -> None:
    logging.getLogger("libdiffusion").log(
        logging.WARNING if level == LogLevel.WARNING else logging.INFO, "%s", message)


class Context(Handle):
    """Memory, threads and error text; every other object is made in a context.

    Takes a ContextOptions or its members: threads, memory_limit, profile, large_pages, and two
    functions. `log(level, message)` receives notes that are not errors; without it they go to the
    logger "libdiffusion" of Python's logging module. `parallel_for(count, run)` calls run(i) for i
    from 0 to count - 1, on any threads, and returns when all have ended; without it the library
    uses threads of its own. Neither may use the context.

    Objects may be used from any thread, but calls on one context and its objects must not overlap:
    a call that does raises WrongState. Different contexts are independent.
    """

    def __init__(self, options: Optional[ContextOptions] = None,
                 **members: Unpack[ContextOptionsMembers]) -> None:
        options = options_of(ContextOptions, options, dict(members))
        core = Core()
        keys: list[int] = []
        memory = options._filled()
        parallel = options.parallel_for
        for name, function, user in (("log", options.log or _to_logging, "log_user"),
                                     ("parallel_for", parallel, "parallel_user")):
            if function is not None:
                keys.append(_callbacks.register(core, function))
                called = _callbacks.on_log if name == "log" else _callbacks.on_parallel
                memory.set_function(name, called, user, keys[-1])

        def forget() -> None:
            for key in keys:
                _callbacks.forget(key)

        pointer, text = ctypes.c_void_p(), ctypes.create_string_buffer(1024)
        with _signals.Deferred():
            status = dll.dm_context_create(ctypes.byref(pointer), memory.bytes, text, len(text))
            if status:
                forget()
                raise error(status, text.value.decode("utf-8", "replace"))
            core.pointer = pointer.value
            assert pointer.value is not None
            self._adopt(core, "context", pointer.value, (), forget)

    @property
    def memory(self) -> MemoryUse:
        """What the library has allocated in this context. May be read at any time."""
        numbers = [ctypes.c_uint64() for _ in range(3)]
        self._property("dm_context_get_memory", *map(ctypes.byref, numbers))
        return MemoryUse(*(number.value for number in numbers))

    @property
    def threads(self) -> int:
        """Threads that compute, the caller's included."""
        return int(self._property("dm_context_threads"))

    def profile_rows(self) -> list[ProfileRow]:
        """Where time went, in a context made with `profile`: a row for each operation, part and
        shape, in order of first use."""
        count = ctypes.c_int32()
        self._core.call("dm_context_get_profile_rows", self, ctypes.byref(count))
        rows = []
        for index in range(count.value):
            memory = Memory("dm_profile_row")
            self._core.call("dm_context_get_profile_row", self, index, memory.bytes)
            rows.append(ProfileRow._from(memory))
        return rows

    def profile_reset(self) -> None:
        """Forgets the rows."""
        self._core.call("dm_context_profile_reset", self)

    def __repr__(self) -> str:
        return "<closed Context>" if self.closed else f"<Context, threads={self.threads}>"


class Object(Handle):
    """Base of the wrappers of what is made in a context."""

    _context: Context

    @property
    def context(self) -> Context:
        """The context that this was made in."""
        return self._context


def core_of(*handles: Any) -> Core:
    """The core of the first handle; checks that all are open."""
    for handle in handles:
        if handle is not None:
            handle.native
    core: Core = handles[0]._core
    return core
