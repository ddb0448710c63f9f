# SPDX-License-Identifier: MIT
"""A binding by ctypes that copies nothing from the header but the order of dm_member_info: layouts,
types and values come from the run-time tables."""
import ctypes
from ctypes import byref, c_char_p, c_double, c_int32, c_size_t, c_uint32, c_void_p
from types import SimpleNamespace


class MemberInfo(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("type", c_int32), ("offset", c_uint32),
                ("count", c_uint32), ("element_size", c_uint32), ("saved", c_int32),
                ("minimum", c_double), ("maximum", c_double), ("name", c_char_p),
                ("enumeration", c_char_p), ("default_text", c_char_p), ("help", c_char_p)]


SCALARS = {"i32": c_int32, "u32": c_uint32, "i64": ctypes.c_int64, "u64": ctypes.c_uint64,
           "f32": ctypes.c_float, "f64": c_double, "char": ctypes.c_char, "string": c_char_p,
           "pointer": c_void_p, "function": c_void_p}


class Failure(Exception):
    """A status that is not DM_OK, by its name, and the context's text."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status = status


def decode(text):
    return text.decode() if text is not None else None


class Library:
    def __init__(self, path):
        self.dll = ctypes.CDLL(path)
        for name in ("dm_struct_name", "dm_enum_type_name", "dm_enum_name", "dm_context_error"):
            getattr(self.dll, name).restype = c_char_p
        self.dll.dm_struct_size.restype = c_size_t
        # The types by number, and the status of success.
        self.types = {self.enum_value("dm_member_type", name): name for name in SCALARS}
        self.ok = self.enum_value("dm_status", "ok")

    def enum_value(self, enumeration, name):
        value = c_int32()
        status = self.dll.dm_enum_value(enumeration.encode(), name.encode(), byref(value))
        return value.value if status == 0 else None

    def status_name(self, status):
        return decode(self.dll.dm_enum_name(b"dm_status", c_int32(status)))

    def members(self, struct):
        found = []
        while True:
            info = MemberInfo()
            if self.dll.dm_member_info_init(byref(info), c_size_t(ctypes.sizeof(info))):
                raise Failure("dm_member_info_init", struct)
            if self.dll.dm_struct_member(struct.encode(), c_int32(len(found)), byref(info)):
                return found
            found.append(SimpleNamespace(
                name=decode(info.name), type=self.types[info.type], offset=info.offset,
                count=info.count, enumeration=decode(info.enumeration)))

    def struct_names(self):
        return [decode(self.dll.dm_struct_name(i)) for i in range(self.dll.dm_struct_count())]

    def enum_type_names(self):
        count = self.dll.dm_enum_type_count()
        return [decode(self.dll.dm_enum_type_name(i)) for i in range(count)]

    def values(self, enumeration):
        """The values of an enumeration by name."""
        found = {}
        for i in range(self.dll.dm_enum_count(enumeration.encode())):
            value = c_int32()
            self.dll.dm_enum_item(enumeration.encode(), c_int32(i), byref(value))
            found[decode(self.dll.dm_enum_name(enumeration.encode(), value))] = value.value
        return found


class Struct:
    """A struct in memory of its own, or at an address that a callback was given."""

    def __init__(self, library, name, address=None):
        self.library, self.name = library, name
        self.info = {m.name: m for m in library.members(name)}
        self.size = library.dll.dm_struct_size(name.encode())
        self.kept = {}
        if address is not None:
            self.memory = (ctypes.c_char * self.size).from_address(address)
            return
        self.memory = (ctypes.c_char * self.size)()
        if library.dll[name + "_init"](self.memory, c_size_t(self.size)) != library.ok:
            raise Failure(name + "_init", "failed")

    def field(self, member):
        return SCALARS[self.info[member].type].from_buffer(self.memory, self.info[member].offset)

    def __getitem__(self, member):
        return self.field(member).value

    def set_pointer(self, member, pointer):
        self.kept[member] = pointer
        self.field(member).value = ctypes.cast(pointer, c_void_p).value
