# SPDX-License-Identifier: MIT
"""Calls in a context, and the lifetime of C objects.

Every Python object that wraps a C object holds a Native. A Native counts its users: the wrapper,
the Natives that were made from it, and calls in progress. The C object is destroyed when the count
reaches 0, so that whatever order wrappers are closed or collected in, C objects are destroyed
before what they were made from. While a call in the context is in progress (the collector may run
in a callback or in another thread), destruction waits until it ends.
"""
from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Callable, Optional, TypeVar

from . import _signals
from ._errors import error
from ._library import dll
from ._generated import Status

_count_lock = threading.RLock()


class Core:
    """The state of one context: calls in progress, destructions that wait, and exceptions of
    callbacks."""

    def __init__(self) -> None:
        self.pointer: Optional[int] = None  # the dm_context
        self.gate = threading.RLock()
        self.active = 0
        self.destroying = False
        self.waiting: list[Native] = []
        self.local = threading.local()

    def call(self, name: str, *arguments: Any) -> None:
        """Calls a function that returns a status. Wrappers among the arguments become pointers and
        are kept from destruction. Raises what a callback raised, or the status."""
        pinned = [argument.native for argument in arguments if isinstance(argument, Handle)]
        try:
            for native in pinned:
                native.retain()
            values = [argument.native.pointer if isinstance(argument, Handle) else argument
                      for argument in arguments]
            with _signals.Deferred():
                status, text, raised = self._call(getattr(dll, name), values)
        finally:
            for native in pinned:
                native.release()
        if raised is not None:
            raise raised
        if status:
            raise error(status, text)

    def _call(self, function: Any,
              values: list[Any]) -> tuple[int, str, Optional[BaseException]]:
        """Status, error text, and what a callback raised."""
        with self.gate:
            overlaps = self.active > 0
            self.active += 1
        try:
            status = function(*values)
            raised = self._taken()
            if not status:
                return status, "", raised
            if overlaps and status == Status.WRONG_STATE:
                return status, "the call overlaps another in the same context", raised
            return status, self.error_text(), raised
        finally:
            self._end()

    def _end(self) -> None:
        with self.gate:
            self.active -= 1
            if self.active or self.destroying:
                return
            ready, self.waiting = self.waiting, []
        for native in ready:
            self.destroy(native)

    def error_text(self) -> str:
        size = ctypes.c_size_t()
        if dll.dm_context_error_copy(self.pointer, None, 0, ctypes.byref(size)) or not size.value:
            return ""
        text = ctypes.create_string_buffer(size.value)
        dll.dm_context_error_copy(self.pointer, text, size.value, None)
        return text.value.decode("utf-8", "replace")

    def failed(self, exception: BaseException, tell: bool) -> None:
        """Notes an exception of a callback, which the call in progress on this thread raises;
        `tell`: as the library's reason, too."""
        if getattr(self.local, "exception", None) is None:
            self.local.exception = exception
        if tell:
            text = f"{type(exception).__name__}: {exception}"
            dll.dm_callback_fail(self.pointer, text.encode("utf-8", "replace"))

    def _taken(self) -> Optional[BaseException]:
        raised: Optional[BaseException] = getattr(self.local, "exception", None)
        self.local.exception = None
        return raised

    def destroy(self, native: Native) -> None:
        """Destroys a C object whose users are gone, now or when calls in progress have ended."""
        with _signals.Deferred():
            self._destroy(native)

    def _destroy(self, native: Native) -> None:
        with self.gate:
            if self.active or self.destroying:
                self.waiting.append(native)
                return
            self.destroying = True
            try:
                native.destroy()
            finally:
                self.destroying = False
            raised = self._taken()  # by the log
            self.active += 1
        for parent in native.parents:
            parent.release()
        self._end()  # destroys what was queued meanwhile
        if raised is not None:
            raise raised


class Native:
    """A C object with the number of its users."""

    __slots__ = ("core", "pointer", "destroy", "parents", "users")

    def __init__(self, core: Core, pointer: Any, destroy: Callable[[], Any],
                 parents: tuple[Native, ...]) -> None:
        self.core, self.pointer, self.destroy = core, pointer, destroy
        self.parents, self.users = parents, 1
        for parent in parents:
            parent.retain()

    def retain(self) -> None:
        with _count_lock:
            self.users += 1

    def release(self) -> None:
        with _count_lock:
            self.users -= 1
            last = self.users == 0
        if last:
            self.core.destroy(self)


H = TypeVar("H", bound="Handle")


class Handle:
    """Base of the wrappers of C objects. They are context managers; close() gives the object up,
    and its memory is released when nothing that was made from it is left."""

    _core: Core
    _native: Optional[Native] = None

    @property
    def native(self) -> Native:
        if self._native is None:
            raise ValueError(f"this {type(self).__name__} is closed")
        return self._native

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._native is None

    def close(self) -> None:
        """Gives the object up; it can no longer be used. May be called twice."""
        native, self._native = self._native, None
        if native is not None:
            native.release()

    def __enter__(self: H) -> H:
        self.native
        return self

    def __exit__(self, kind: Optional[type[BaseException]], value: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    @contextlib.contextmanager
    def _pinned(self) -> Iterator[Any]:
        """The pointer, kept from destruction by another thread."""
        native = self.native
        native.retain()
        try:
            yield native.pointer
        finally:
            native.release()

    def _property(self, function: str, *arguments: Any) -> Any:
        """Calls a function that may be called at any time and returns no status."""
        with self._pinned() as pointer:
            return getattr(dll, function)(pointer, *arguments)

    def _create(self, core: Core, kind: str, function: str, arguments: tuple[Any, ...],
                parents: tuple[Handle, ...], released: Callable[[], Any] = lambda: None) -> None:
        """Calls a create function and takes over its object. `released` runs after its
        destruction, or on failure."""
        pointer = ctypes.c_void_p()
        with _signals.Deferred():  # so that no handler raises while only `pointer` has the object
            try:
                try:
                    core.call(function, ctypes.byref(pointer), *arguments)
                finally:
                    if pointer.value:
                        self._adopt(core, kind, pointer.value, parents, released)
            except BaseException:
                if not pointer.value:
                    released()
                else:
                    self.close()
                raise

    def _adopt(self, core: Core, kind: str, pointer: int, parents: tuple[Handle, ...],
               released: Callable[[], Any]) -> None:
        function = getattr(dll, f"dm_{kind}_destroy")

        def destroy() -> None:
            function(pointer)
            released()

        self._core = core
        self._native = Native(core, pointer, destroy, tuple(parent.native for parent in parents))
