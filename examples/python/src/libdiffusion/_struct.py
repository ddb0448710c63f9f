# SPDX-License-Identifier: MIT
"""Structs of the library as Python objects: the memory of the C struct, read and written through
the run-time tables."""
from __future__ import annotations

import ctypes
import difflib
import inspect
import operator
import struct as packing
from typing import Any, Callable, Optional

import numpy as np

from . import _arrays
from ._errors import check
from ._library import dll
from ._tables import MEMBERS, Member, camel, struct_size

_FORMATS = {"i32": "i", "u32": "I", "i64": "q", "u64": "Q", "f32": "f", "f64": "d", "char": "s",
            "string": "P", "pointer": "P", "function": "P"}

# The tables do not have what arrays consist of: for each struct and pointer, the member that holds
# its number of elements, and the type of these.
ARRAYS: dict[str, dict[str, tuple[str, Any]]] = {
    "dm_sampler_request": {
        "seeds": ("seed_count", np.uint64), "labels": ("label_count", np.int32),
        "initial_noise": ("initial_noise_elements", np.float32),
        "image": ("image_elements", np.float32), "mask": ("mask_elements", np.float32),
        "condition_image": ("condition_image_elements", np.float32),
        "condition_vector": ("condition_vector_elements", np.float32)},
    "dm_sampler_options": {
        "custom_times": ("custom_count", np.float64),
        "custom_sigmas": ("custom_count", np.float64)},
    "dm_unet_input": {
        "x": ("x_elements", np.float32), "times": ("time_count", np.float64),
        "labels": ("label_count", np.int32),
        "condition_image": ("condition_image_elements", np.float32),
        "condition_vector": ("condition_vector_elements", np.float32)},
    "dm_train_batch": {
        "images": ("elements", np.float32), "noise": ("elements", np.float32),
        "labels": ("label_count", np.int32), "timesteps": ("timestep_count", np.int32),
        "condition_image": ("condition_image_elements", np.float32),
        "condition_vector": ("condition_vector_elements", np.float32)},
    "dm_dataset_memory": {
        "pixels": ("pixel_bytes", np.uint8), "labels": ("label_count", np.int32),
        "condition_images": ("condition_image_bytes", np.uint8),
        "condition_vectors": ("condition_vector_elements", np.float32)},
}

# Functions that options hold as Python callables.
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "dm_sampler_request": ("noise", "progress", "guide"), "dm_denoiser": ("evaluate",),
    "dm_context_options": ("log", "parallel_for"),
}

ENUMS: dict[str, Any] = {}


class Memory:
    """An initialised struct in memory of its own, members by name. For use inside the package."""

    __slots__ = ("name", "bytes", "kept")

    def __init__(self, name: str) -> None:
        self.name = name
        self.bytes = (ctypes.c_char * struct_size(name))()
        self.kept: dict[str, Any] = {}  # what pointers point to
        check(getattr(dll, name + "_init")(self.bytes, len(self.bytes)))

    def get(self, name: str) -> Any:
        """The member as a number, bytes, or a tuple of numbers."""
        member = MEMBERS[self.name][name]
        if member.type == "char":
            return self.bytes.raw[member.offset:member.offset + member.length].split(b"\0")[0]
        code = f"{member.length}{_FORMATS[member.type]}"
        values = packing.unpack_from(code, self.bytes, member.offset)
        if member.type == "f32":
            values = tuple(float(str(np.float32(value))) for value in values)
        return values if member.length > 1 else values[0]

    def set(self, name: str, value: Any) -> None:
        """Writes a number, or a sequence of them for an array, whose missing entries become 0."""
        member = MEMBERS[self.name][name]
        values = list(value) if member.length > 1 else [value]
        values += [0] * (member.length - len(values))
        code = f"{member.length}{_FORMATS[member.type]}"
        packing.pack_into(code, self.bytes, member.offset, *values)

    def set_array(self, name: str, array: Optional[np.ndarray]) -> None:
        """Points to an array, which is kept alive, and writes its number of elements."""
        if array is None:
            return
        self.kept[name] = array
        self.set(name, array.ctypes.data)
        self.set(ARRAYS[self.name][name][0], array.size)

    def set_function(self, name: str, pointer: Any, user: str, key: int) -> None:
        """Points to a ctypes callback that outlives the struct, with its first argument."""
        self.set(name, ctypes.cast(pointer, ctypes.c_void_p).value)
        self.set(user, key)

    def copy(self) -> Memory:
        other = Memory(self.name)
        ctypes.memmove(other.bytes, self.bytes, len(self.bytes))
        other.kept = dict(self.kept)
        return other


def at_address(name: str, address: int) -> Memory:
    """A copy of the struct at an address that a callback was given."""
    memory = Memory(name)
    size = min(ctypes.c_uint32.from_address(address).value, len(memory.bytes))
    ctypes.memmove(memory.bytes, address, size)
    return memory


def convert(owner: str, member: Member, value: Any) -> Any:
    """`value` as an int, float or enumeration's value for one element, or TypeError/ValueError."""
    where = f"{owner}.{member.name}"
    if member.enumeration:
        try:
            return int(ENUMS[member.enumeration](value))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    if isinstance(value, (str, bytes)) or value is None:
        raise TypeError(f"{where} is {value!r}; it must be a number")
    try:
        if member.type in ("f32", "f64"):
            number: Any = float(value)
        else:
            number = operator.index(value)
        packing.pack(_FORMATS[member.type], number)
    except TypeError:
        kind = "a number" if member.type in ("f32", "f64") else "an integer"
        raise TypeError(f"{where} is {value!r}; it must be {kind}") from None
    except (packing.error, OverflowError):
        raise ValueError(f"{where} is {value!r}, which does not fit {member.type}") from None
    return number


class Struct:
    """Base of the classes that are made from the library's tables: equality, repr, to_dict."""

    __slots__ = ("_memory", "_objects")
    _struct = ""
    _members: dict[str, Member] = {}

    _memory: Memory
    _objects: dict[str, Any]

    @classmethod
    def _from(cls, memory: Memory) -> Any:
        made = cls.__new__(cls)
        made._memory, made._objects = memory, {}
        return made

    def _set_by_caller(self, name: str) -> None:
        """Called after each change of a member."""

    def to_dict(self) -> dict[str, Any]:
        """The members by name."""
        return {name: getattr(self, name) for name in self._members}

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name))
                   if isinstance(getattr(self, name), np.ndarray)
                   else bool(np.all(getattr(self, name) == getattr(other, name)))
                   for name in self._members)

    __hash__ = None  # type: ignore[assignment]

    def _shown(self) -> list[str]:
        return list(self._members)

    def __repr__(self) -> str:
        shown = []
        for name in self._shown():
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                shown.append(f"{name}=array({value.shape})")
            else:
                shown.append(f"{name}={getattr(value, 'text', value)!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def __reduce__(self) -> Any:
        return _restore, (type(self), bytes(self._memory.bytes.raw), self._objects,
                          getattr(self, "_given", None))


def _restore(cls: Any, raw: bytes, objects: dict[str, Any], given: Any) -> Any:
    made = cls._from(Memory(cls._struct))
    ctypes.memmove(made._memory.bytes, raw, min(len(raw), len(made._memory.bytes)))
    for name in MEMBERS[cls._struct].values():
        if name.type in ("string", "pointer", "function"):
            made._memory.set(name.name, 0)
    made._objects = dict(objects)
    if given is not None:
        made._given = set(given)
    return made


class Record(Struct):
    """What a function of the library reports: members are read, not set."""

    __slots__ = ()


class Options(Struct):
    """What a function of the library is told. Members are keyword arguments and attributes; their
    types are checked when they are set, their ranges by the function that gets the options. repr
    shows what differs from the defaults."""

    __slots__ = ("_given",)
    _given: set[str]

    def __init__(self, **members: Any) -> None:
        self._memory, self._objects, self._given = Memory(self._struct), {}, set()
        self._update(members)

    @classmethod
    def _from(cls, memory: Memory) -> Any:
        made = super()._from(memory)
        made._given = set(cls._members)
        return made

    def _set_by_caller(self, name: str) -> None:
        self._given.add(name)

    def _update(self, members: dict[str, Any]) -> None:
        for name, value in members.items():
            if name not in self._members:
                near = difflib.get_close_matches(name, self._members, 1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                raise TypeError(f"{type(self).__name__} has no member '{name}'{hint}")
            setattr(self, name, value)

    def replace(self, **members: Any) -> Any:
        """A copy with some members changed."""
        other = type(self)._from(self._memory.copy())
        other._objects, other._given = dict(self._objects), set(self._given)
        other._update(members)
        return other

    def set(self, member: str, text: str) -> None:
        """Sets a member from text, as a command line or a file has it: a number, the name of an
        enumeration's value, or a comma-separated list. Names, numbers and ranges are checked;
        raises InvalidArgument or NotFound."""
        from ._utility import utility
        utility.options_set(self._struct, self._memory.bytes, member, text)
        self._given.add(member)

    def get(self, member: str) -> str:
        """A member as text that `set` accepts."""
        from ._utility import utility
        return utility.options_get(self._struct, self._memory.bytes, member)

    def _shown(self) -> list[str]:
        default = type(self)()
        return [name for name in self._members
                if not np.array_equal(getattr(self, name), getattr(default, name))]

    def _filled(self) -> Memory:
        """A struct for a call, with pointers to the arrays; functions are set by the caller."""
        memory = self._memory.copy()
        counts: dict[str, int] = {}
        for name, (count, _) in ARRAYS.get(self._struct, {}).items():
            array = self._objects.get(name)
            if array is not None and counts.setdefault(count, array.size) != array.size:
                raise ValueError(f"{type(self).__name__}.{name} has {array.size} elements; "
                                 f"another list of this kind has {counts[count]}")
            memory.set_array(name, array)
        return memory


def _value_text(value: float) -> str:
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e16 else repr(value)


def _range_text(member: Member) -> str:
    if not member.has_range or member.is_flag or member.enumeration:
        return ""
    low, high = member.minimum, member.maximum
    below = "above 0" if 0 < low < 1e-37 else _value_text(low)
    above = "below 1" if 0.9999999 < high < 1 else _value_text(high)
    if high >= 3.4e38 or (high >= 2147483647 and member.type[0] in "iu"):
        return below if low and low < 1e-37 else f"{below} or more"
    return f"{below} to {above}" if below != "above 0" else f"{below}, at most {above}"


def describe(member: Member) -> str:
    """One line on a member: help, range and default."""
    parts = [member.help]
    if _range_text(member):
        parts.append(f"Range: {_range_text(member)}.")
    if member.enumeration:
        names = [value.text for value in ENUMS[member.enumeration]]
        parts.append(f"One of {', '.join(names)}.")
    if member.default is not None:
        parts.append(f"Default: {member.default}.")
    return " ".join(parts)


def _number(name: str, member: Member, settable: bool) -> property:
    """The property of a member that is a number, a string, or an array of numbers."""
    def wrap(value: Any) -> Any:
        if member.enumeration:
            return ENUMS[member.enumeration](value)
        return bool(value) if member.is_flag else value

    def read(self: Struct) -> Any:
        if member.type == "string":
            return self._objects.get(name, "")
        value = self._memory.get(name)
        if member.type == "char":
            return value.decode()
        return tuple(map(wrap, value)) if member.length > 1 else wrap(value)

    def write(self: Struct, value: Any) -> None:
        if member.length > 1:
            if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
                raise TypeError(f"{type(self).__name__}.{name} is {value!r}; it must be a sequence "
                                "of numbers")
            value = [convert(type(self).__name__, member, entry) for entry in value]
            if len(value) > member.length:
                raise ValueError(f"{type(self).__name__}.{name} has {len(value)} entries; there "
                                 f"can be {member.length}")
        else:
            value = convert(type(self).__name__, member, value)
        self._memory.set(name, value)
        self._set_by_caller(name)

    return property(read, write if settable else None, None, describe(member))


def _object(name: str, member: Member, settable: bool, dtype: Any) -> property:
    """The property of a member that is an array (`dtype`) or a function (None)."""
    def read(self: Struct) -> Any:
        value = self._objects.get(name)
        return value() if isinstance(value, Lazy) else value

    def write(self: Struct, value: Any) -> None:
        where = f"{type(self).__name__}.{name}"
        if value is None:
            self._objects.pop(name, None)
            if name in ARRAYS.get(self._struct, {}):
                self._memory.set(ARRAYS[self._struct][name][0], 0)
        elif dtype is not None:
            small = dtype not in (np.float32,)
            self._objects[name] = _arrays.as_input(where, value, dtype, copy=small)
        elif callable(value) or (name == "progress" and isinstance(value, bool)):
            self._objects[name] = value
        else:
            raise TypeError(f"{where} is {value!r}; it must be a function")
        self._set_by_caller(name)

    return property(read, write if settable else None, None, member.help)


class Lazy:
    """An array at an address that is valid while a callback runs; it is copied when it is read."""

    __slots__ = ("address", "shape", "dtype", "array")

    def __init__(self, address: int, shape: tuple[int, ...], dtype: Any) -> None:
        self.address, self.shape, self.dtype = address, shape, dtype
        self.array: Any = None

    def __call__(self) -> Any:
        if self.array is None:
            if not self.address:
                raise RuntimeError("this array was not read while its callback ran; it is gone")
            self.array = np.empty(self.shape, self.dtype)
            ctypes.memmove(self.array.ctypes.data, self.address, self.array.nbytes)
        return self.array


# Arrays of the records that callbacks get.
RECORD_ARRAYS = {"dm_sampler_progress": ("x_t", "x_0"),
                 "dm_denoiser_input": ("x", "labels", "condition_image", "condition_vector"),
                 "dm_guidance_step": ("x", "labels", "x_0", "eps")}
# Members of these records that a callback may set, with the type of arrays.
WRITABLE: dict[str, dict[str, Any]] = {
    "dm_guidance_step": {"rederive": None, "x_0": np.float64, "eps": np.float64}}


def make_class(struct: str, settable: bool) -> Any:
    """The class for a struct of the library."""
    members: dict[str, Member] = {}
    space: dict[str, Any] = {"__slots__": (), "_struct": struct}
    arrays = ARRAYS.get(struct, {}) if settable else {}
    counts = {count for count, _ in arrays.values()}
    writable = WRITABLE.get(struct, {})
    for name, member in MEMBERS[struct].items():
        if name == "struct_size" or name.startswith("padding") or name in counts:
            continue
        if member.type in ("pointer", "function"):
            if name in arrays:
                space[name] = _object(name, member, settable, arrays[name][1])
            elif name in FUNCTIONS.get(struct, ()) or name in RECORD_ARRAYS.get(struct, ()):
                space[name] = _object(name, member, settable or name in writable,
                                      writable.get(name))
            else:
                continue
        else:
            space[name] = _number(name, member, settable or name in writable)
        members[name] = member
    space["_members"] = members
    lines = "\n".join(f"    {name}: {describe(member)}" for name, member in members.items())
    kind = "Options" if settable else "A record"
    space["__doc__"] = f"{kind} of the library: {struct}.\n\nMembers:\n{lines}\n"
    made: Any = type(camel(struct), (Options if settable else Record,), space)
    made.__module__ = "libdiffusion"
    if settable:
        made.__signature__ = inspect.Signature(
            [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY,
                               default=_Text(member.default or "..."))
             for name, member in members.items()])
    return made


class _Text(str):
    """A default in a signature, shown without quotes."""

    def __repr__(self) -> str:
        return str(self)


def options_of(cls: Callable[..., Any], options: Any, members: dict[str, Any]) -> Any:
    """The options of a call: those given, changed by keyword arguments."""
    if options is None:
        return cls(**members)
    if not isinstance(options, cls):  # type: ignore[arg-type]
        raise TypeError(f"options are {options!r}; they must be {cls.__name__}")
    return options.replace(**members) if members else options
