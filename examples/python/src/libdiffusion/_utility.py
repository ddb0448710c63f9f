# SPDX-License-Identifier: MIT
"""A context of one thread for functions that need one only for memory and error text: options by
name, PNG files. A lock keeps its calls apart, so these functions may be called from any thread."""
from __future__ import annotations

import ctypes
import threading
from typing import Any, Optional

from .context import Context


class Utility:
    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._context: Optional[Context] = None

    def call(self, name: str, *arguments: Any, first: bool = True) -> None:
        """Calls a function whose first parameter is a context."""
        with self._lock:
            if self._context is None:
                self._context = Context(threads=1)
            self._context._core.call(name, self._context, *arguments)

    def options_set(self, struct: str, memory: Any, member: str, text: str) -> None:
        self.call("dm_options_set", struct.encode(), memory, member.encode(), text.encode())

    def options_get(self, struct: str, memory: Any, member: str) -> str:
        size = ctypes.c_size_t()
        arguments = struct.encode(), memory, member.encode()
        self.call("dm_options_get", *arguments, None, 0, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        self.call("dm_options_get", *arguments, text, size.value, None)
        return text.value.decode()


utility = Utility()
