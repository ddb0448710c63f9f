# SPDX-License-Identifier: MIT
"""Python's signal handlers while the library runs.

Python runs handlers in the main thread between bytecodes, thus not inside a C call, but as soon as
the library calls back. An exception that a handler raises on entry to a callback, before any of its
statements, would be lost at the C frame. Therefore handlers are replaced during a call by one that
takes a note, and callbacks run the real ones where exceptions are caught.
"""
from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Optional

_SIGNALS = [getattr(signal, name) for name in (
    "SIGINT", "SIGTERM", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGVTALRM", "SIGQUIT")
    if hasattr(signal, name)]

_replaced: dict[int, Any] = {}
_noted: list[tuple[int, Optional[FrameType], Any]] = []


def _note(number: int, frame: Optional[FrameType]) -> None:
    _noted.append((number, frame, _replaced.get(number)))


def deliver() -> None:
    """Runs the handlers of signals that came during the call. They may raise."""
    while _noted and threading.current_thread() is threading.main_thread():
        number, frame, handler = _noted.pop(0)
        if callable(handler):
            handler(number, frame)


def _restore() -> None:
    """Puts the handlers back, SIGINT's last, unless they were changed meanwhile."""
    while _replaced:
        number, handler = _replaced.popitem()
        if signal.getsignal(number) is _note:
            signal.signal(number, handler)


class Deferred:
    """Context manager: handlers are replaced inside, and run at the end. Does nothing in threads
    other than the main one, and inside another."""

    __slots__ = ("outer",)

    def __enter__(self) -> None:
        self.outer = False
        if _replaced or threading.current_thread() is not threading.main_thread():
            return
        self.outer = True
        try:
            for number in _SIGNALS:  # SIGINT first: then nothing else can interrupt this
                handler = signal.getsignal(number)
                if callable(handler):
                    _replaced[number] = handler
                    signal.signal(number, _note)
        except ValueError:  # not the main interpreter
            _replaced.clear()
            self.outer = False
        except BaseException:  # raised by a handler that was not yet replaced
            _restore()
            raise

    def __exit__(self, *_: Any) -> None:
        if not self.outer:
            return
        try:
            _restore()
        finally:
            _restore()  # what is left after a handler raised an exception in the first call
        deliver()
