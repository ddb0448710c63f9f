# SPDX-License-Identifier: MIT
"""Classes made at import from the library's run-time tables: enumerations, options, records and
exceptions. _generated.pyi, written by tools/generate_stubs.py, declares them for type checkers."""
from __future__ import annotations

import enum
from typing import Any

from . import _errors, _struct
from ._tables import MEMBERS, camel, enum_names, enum_values

# Used by the package alone: their contents are arguments of functions.
HIDDEN_STRUCTS = ("dm_member_info", "dm_unet_input", "dm_train_batch", "dm_dataset_memory",
                  "dm_dataset_item", "dm_dataset_callback")
HIDDEN_ENUMS = ("dm_member_type",)


class NamedEnum(enum.IntEnum):
    """Base of the enumerations. A value is made from its number or its name, as Solver("ddim"),
    and a string of that name is accepted wherever a value is."""

    @classmethod
    def _missing_(cls, value: object) -> Any:
        if isinstance(value, str):
            for item in cls:
                if item.text == value.lower():
                    return item
        names = ", ".join(item.text for item in cls)
        raise ValueError(f"{value!r} is no {cls.__name__}; there are {names}")

    @property
    def text(self) -> str:
        """The library's name of the value, such as 'ddim'."""
        return self.name.lower()

    @property
    def help(self) -> str:
        """One line about the value."""
        helps: dict[int, str] = getattr(type(self), "_helps")
        return helps[self.value]

    def __str__(self) -> str:
        return self.text

    def __format__(self, spec: str) -> str:
        return format(self.text, spec)


def _make_enum(name: str) -> Any:
    values = enum_values(name)
    made: Any = NamedEnum(camel(name), {value.name.upper(): value.value for value in values},
                          module="libdiffusion")
    made._helps = {value.value: value.help for value in values}
    lines = "\n".join(f"    {value.name.upper()}: {value.help}" for value in values)
    made.__doc__ = f"{name}.\n\nValues:\n{lines}\n"
    return made


def _make_error(name: str, value: int, text: str) -> Any:
    bases: tuple[Any, ...] = (_errors.Error,)
    if name in _errors.BASES:
        bases += (_errors.BASES[name],)
    made = type(_errors.NAMES.get(name, camel(name)), bases,
                {"__doc__": f"DM_ERROR_{name.upper()}: {text}.", "__module__": "libdiffusion"})
    _errors.CLASSES[value] = made
    return made


def is_settable(struct: str) -> bool:
    """Whether a struct is made by the caller, which its defaults tell."""
    return struct not in _struct.WRITABLE and any(
        member.default is not None for member in MEMBERS[struct].values())


__all__ = ["NamedEnum", "Error"]
Error = _errors.Error


def _publish(made: Any) -> None:
    globals()[made.__name__] = made
    __all__.append(made.__name__)


for _name in enum_names():
    if _name not in HIDDEN_ENUMS:
        _struct.ENUMS[_name] = _make_enum(_name)
        _publish(_struct.ENUMS[_name])
for _name in MEMBERS:
    if _name not in HIDDEN_STRUCTS:
        _publish(_struct.make_class(_name, is_settable(_name)))
for _value in enum_values("dm_status"):
    if _value.value:
        _publish(_make_error(*_value))
