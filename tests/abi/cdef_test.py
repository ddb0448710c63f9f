# SPDX-License-Identifier: MIT
"""diffusion_cdef.h is accepted by cffi, which then sees the library's own layout and values, or,
without cffi, by pycparser.  cdef_test.py diffusion_cdef.h libdiffusion.so"""
import sys


def text(ffi, pointer):
    return ffi.string(pointer).decode()


def check_struct(ffi, lib, name):
    struct = ffi.typeof(name)
    members = dict(struct.fields)
    info = ffi.new("dm_member_info *")
    index = 0
    assert lib.dm_member_info_init(info, ffi.sizeof("dm_member_info")) == lib.DM_OK
    while lib.dm_struct_member(name.encode(), index, info) == lib.DM_OK:
        member = members.pop(text(ffi, info.name))
        size = ffi.sizeof(member.type)
        assert (member.offset, size) == (info.offset, info.count * info.element_size), info.name
        index += 1
    assert index and not members, (name, members)
    assert ffi.sizeof(struct) == lib.dm_struct_size(name.encode()), name


def check_with_cffi(cffi, cdef, library):
    ffi = cffi.FFI()
    ffi.cdef(cdef)
    lib = ffi.dlopen(library)
    names = [text(ffi, lib.dm_struct_name(i)) for i in range(lib.dm_struct_count())]
    for name in names:
        check_struct(ffi, lib, name)
    declared = [n for n in ffi.list_types()[0] if ffi.typeof(n).kind == "struct"]
    whole = [n for n in declared if ffi.typeof(n).fields is not None]
    assert sorted(whole) == sorted(names), set(whole) ^ set(names)
    assert lib.dm_version() == lib.DM_VERSION
    # dir() lists functions and constants; each function must be found in the library.
    functions = [n for n in dir(lib) if n.startswith("dm_")]
    for name in functions:
        getattr(lib, name)
    counts = f"{len(functions)} functions, {len(names)} structs"
    print(f"cdef: ok for the C compiler and cffi ({counts})")


def check_with_pycparser(pycparser, cdef):
    known = "typedef int int32_t; typedef int uint32_t; typedef int int64_t; typedef int uint64_t;"
    known += "typedef int uint8_t; typedef int size_t;"
    parsed = pycparser.CParser().parse(known + cdef)
    assert len(parsed.ext) > 6
    print("cdef: ok for the C compiler and pycparser (cffi left out: not installed)")


def main():
    with open(sys.argv[1], encoding="ascii") as file:
        cdef = file.read()
    try:
        import cffi
        return check_with_cffi(cffi, cdef, sys.argv[2])
    except ImportError:
        pass
    try:
        import pycparser
        return check_with_pycparser(pycparser, cdef)
    except ImportError:
        print("cdef: ok for the C compiler (cffi and pycparser left out: not installed)")


main()
