# SPDX-License-Identifier: MIT
"""Every struct, member, enumeration and enumerator of the header is in the library's run-time
tables, with the same order and values. Reads the header itself, independently of list.awk.
    header_test.py diffusion.h libdiffusion.so"""
import ctypes
import re
import sys

from binding import Library

TYPES = {"int32_t": "i32", "uint32_t": "u32", "int64_t": "i64", "uint64_t": "u64", "float": "f32",
         "double": "f64", "char": "char"}


def declarators(line):
    """'int32_t height, width' and 'void (*log)(void *user)' to [(name, type, count)]."""
    function = re.search(r"\(\*(\w+)\)\(", line)
    if function:
        return [(function.group(1), "function", 1)]
    base, names = re.match(r"((?:const )?\w+)\s+(.*)$", line, re.S).groups()
    result = []
    for name in names.split(","):
        stars, word, count = re.match(r"\s*((?:\*(?:const )?)*)(\w+)(?:\[(\d+)\])?", name).groups()
        result.append((word, base + stars.replace("const ", ""), int(count or 1)))
    return result


def type_name(declared, enumerations, callbacks):
    if declared.endswith("*"):
        return "string" if declared == "const char*" else "pointer"
    if declared in callbacks:
        return "function"
    return "i32" if declared in enumerations else TYPES.get(declared, declared)


def check_structs(library, text, enumerations):
    callbacks = set(re.findall(r"typedef (?:int32_t|void) \(\*(\w+)\)", text)) | {"function"}
    structs = re.findall(r"typedef struct (\w+) \{(.*?)\} \1;", text, re.S)
    for name, body in structs:
        declared = [d for line in body.split(";")[:-1] for d in declarators(" ".join(line.split()))]
        expected = [(n, type_name(t, enumerations, callbacks), c, t if t in enumerations else None)
                    for n, t, c in declared]
        found = [(m.name, m.type, m.count, m.enumeration) for m in library.members(name)]
        assert found == expected, (name, set(found) ^ set(expected))
    names = [name for name, _ in structs]
    assert sorted(names) == sorted(library.struct_names())
    return names


def check_enumerations(library, text):
    pattern = r"typedef int32_t (\w+);\s*enum \{(.*?)\};"
    enumerations = dict(re.findall(pattern, text, re.S))
    values = 0
    for name, body in enumerations.items():
        numbers = [int(n) for n in re.findall(r"DM_\w+\s*=\s*(-?\d+)", body)]
        assert numbers and len(numbers) == body.count("="), name
        listed = library.values(name)
        assert not set(numbers) - set(listed.values()), name
        for word, value in listed.items():
            assert library.enum_value(name, word) == value, (name, word)
        values += len(numbers)
    assert sorted(enumerations) == sorted(library.enum_type_names())
    return enumerations, values


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    library = Library(sys.argv[2])
    enumerations, values = check_enumerations(library, text)
    structs = check_structs(library, text, enumerations)
    assert library.enum_value("dm_solver", "no such solver") is None
    print(f"abi: run-time tables ok ({len(structs)} structs, {len(enumerations)} enumerations, "
          f"{values} values)")


main()
