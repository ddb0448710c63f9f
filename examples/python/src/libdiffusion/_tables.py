# SPDX-License-Identifier: MIT
"""The library's run-time tables: structs with their members, and enumerations with their values.

Only the order of dm_member_info's own members is written down here; the tests compare it with the
library's table.
"""
from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_double, c_int32, c_uint32
from typing import NamedTuple, Optional

from ._library import decode, dll


class MemberInfo(ctypes.Structure):
    """dm_member_info."""
    _fields_ = [("struct_size", c_uint32), ("type", c_int32), ("offset", c_uint32),
                ("count", c_uint32), ("element_size", c_uint32), ("saved", c_int32),
                ("minimum", c_double), ("maximum", c_double), ("name", c_char_p),
                ("enumeration", c_char_p), ("default_text", c_char_p), ("help", c_char_p)]


class Member(NamedTuple):
    """One member of a struct. `type` is a name such as 'i32'; `enumeration` one such as
    'dm_solver', or ''."""
    name: str
    type: str
    offset: int
    length: int
    element_size: int
    minimum: float
    maximum: float
    enumeration: str
    default: Optional[str]
    help: str

    @property
    def has_range(self) -> bool:
        return self.minimum != 0 or self.maximum != 0

    @property
    def is_flag(self) -> bool:
        """Whether the member is a switch: an integer that is 0 or 1."""
        return (self.type == "i32" and not self.enumeration and self.minimum == 0
                and self.maximum == 1)


class Value(NamedTuple):
    """One value of an enumeration."""
    name: str
    value: int
    help: str


def enum_values(enumeration: str) -> list[Value]:
    key, found, number = enumeration.encode(), [], c_int32()
    for index in range(dll.dm_enum_count(key)):
        dll.dm_enum_item(key, index, ctypes.byref(number))
        found.append(Value(decode(dll.dm_enum_name(key, number)), number.value,
                           decode(dll.dm_enum_help(key, number))))
    return found


def enum_names() -> list[str]:
    return [decode(dll.dm_enum_type_name(i)) for i in range(dll.dm_enum_type_count())]


def struct_names() -> list[str]:
    return [decode(dll.dm_struct_name(i)) for i in range(dll.dm_struct_count())]


def struct_size(struct: str) -> int:
    return int(dll.dm_struct_size(struct.encode()))


_TYPE_NAMES = {value.value: value.name for value in enum_values("dm_member_type")}


def _members(struct: str) -> dict[str, Member]:
    found: dict[str, Member] = {}
    while True:
        info = MemberInfo()
        if dll.dm_member_info_init(ctypes.byref(info), ctypes.sizeof(info)):
            raise ImportError("the library refuses this package's dm_member_info")
        if dll.dm_struct_member(struct.encode(), len(found), ctypes.byref(info)):
            return found
        default = info.default_text
        found[decode(info.name)] = Member(
            decode(info.name), _TYPE_NAMES[info.type], info.offset, info.count, info.element_size,
            info.minimum, info.maximum, decode(info.enumeration),
            None if default is None else decode(default), decode(info.help))


# The members of every struct, by the names of both.
MEMBERS = {name: _members(name) for name in struct_names()}


def camel(name: str) -> str:
    """'DatasetInfo' for 'dm_dataset_info'."""
    return "".join(part.capitalize() for part in name.split("_") if part != "dm")
