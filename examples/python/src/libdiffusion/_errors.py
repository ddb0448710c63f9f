# SPDX-License-Identifier: MIT
"""The base of the exceptions that carry a status of the library."""
from __future__ import annotations

from typing import Any

from ._library import decode, dll

# Built-in exceptions that a status also is, so that programs can catch either.
BASES: dict[str, type[Exception]] = {
    "invalid_argument": ValueError, "out_of_memory": MemoryError, "limit_exceeded": MemoryError,
    "io": OSError, "bad_format": ValueError, "checksum": ValueError, "shape_mismatch": ValueError,
    "not_found": FileNotFoundError, "wrong_state": RuntimeError, "not_finite": ArithmeticError,
    "thread": RuntimeError,
}

# Class names where the status's own name would be unclear.
NAMES = {"io": "InputOutput", "thread": "ThreadFailed"}


class Error(Exception):
    """A call of the library that failed. str() is the library's text; `status` is its number,
    a Status; there is a subclass for every status."""

    def __init__(self, status: int, text: str = "") -> None:
        # The text alone goes to the base, so that OSError's meaning of two arguments stays out.
        super().__init__(text or decode(dll.dm_status_message(status)))
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> Any:
        return type(self), (self.status, str(self))

    @property
    def status_name(self) -> str:
        """The name in C, such as 'DM_ERROR_IO'."""
        return decode(dll.dm_status_name(self.status))


CLASSES: dict[int, type[Error]] = {}


def error(status: int, text: str = "") -> Error:
    """The exception for a status."""
    return CLASSES.get(status, Error)(status, text)


def check(status: int, text: str = "") -> None:
    """Raises the exception for a status that is not 0."""
    if status:
        raise error(status, text)
