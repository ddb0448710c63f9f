#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the declarations of diffusion-sys from diffusion_cdef.h.

    sys.py diffusion_cdef.h bindings.rs layout.rs

diffusion_cdef.h is the library's header without comments and preprocessor lines. bindings.rs gets
every type, constant and function; layout.rs a table of the members of every struct, which the
tests compare with the library's own.
"""
import re
import sys

SCALARS = {
    "int32_t": "i32", "uint32_t": "u32", "int64_t": "i64", "uint64_t": "u64", "uint8_t": "u8",
    "size_t": "usize", "float": "f32", "double": "f64", "char": "c_char", "void": "c_void",
}
RESERVED = {"type", "box", "ref", "in", "loop", "move", "use", "where"}
WIDTH = 100


def name_of(name):
    return "r#" + name if name in RESERVED else name


class Parser:
    """A recursive parser of the C declarations that the header uses."""

    def __init__(self, text):
        self.tokens = re.findall(r"[A-Za-z_]\w*|-?\d+|[^\s\w]", text)
        self.at = 0

    def peek(self, ahead=0):
        i = self.at + ahead
        return self.tokens[i] if i < len(self.tokens) else ""

    def take(self, expected=None):
        token = self.peek()
        if expected is not None and token != expected:
            around = " ".join(self.tokens[max(0, self.at - 8):self.at + 8])
            sys.exit(f"sys.py: '{expected}' expected near: {around}")
        self.at += 1
        return token

    def base(self):
        """Type specifiers before a declarator: (Rust type, const)."""
        const = False
        if self.peek() == "const":
            const = bool(self.take())
        if self.peek() == "struct":
            self.take()
        name = self.take()
        if self.peek() == "const":
            const = bool(self.take())
        return SCALARS.get(name, name), const

    def pointers(self, rust, const):
        while self.peek() == "*":
            self.take()
            rust = f"*{'const' if const else 'mut'} {rust}"
            const = False
            if self.peek() == "const":
                const = bool(self.take())
        return rust

    def declarator(self, base):
        """One name with its type: a pointer, an array or a pointer to a function."""
        rust = self.pointers(*base)
        if self.peek() == "(" and self.peek(1) == "*":
            self.take()
            self.take()
            name = self.take()
            self.take(")")
            return name, function_type(self.parameters(), rust)
        name = self.take() if re.match(r"[A-Za-z_]", self.peek()) else ""
        if self.peek() == "[":
            self.take()
            rust = f"[{rust}; {self.take()}]"
            self.take("]")
        return name, rust

    def parameters(self):
        self.take("(")
        result = []
        if self.peek() == "void" and self.peek(1) == ")":
            self.take()
        while self.peek() != ")":
            result.append(self.declarator(self.base()))
            if self.peek() == ",":
                self.take()
        self.take(")")
        return result

    def fields(self):
        self.take("{")
        result = []
        while self.peek() != "}":
            base = self.base()
            while True:
                result.append(self.declarator(base))
                if self.take() == ";":
                    break
        self.take("}")
        return result

    def enumerators(self):
        self.take("{")
        result = []
        while self.peek() != "}":
            name = self.take()
            self.take("=")
            value = ""
            while self.peek() not in (",", "}"):
                token = self.take()
                value += f" {token} " if token in "*+" else token
            result.append((name, value))
            if self.peek() == ",":
                self.take()
        self.take("}")
        return result


def function_type(parameters, result):
    inside = ", ".join(f"{name_of(n)}: {t}" for n, t in parameters)
    tail = "" if result == "c_void" else f" -> {result}"
    return f'Option<unsafe extern "C" fn({inside}){tail}>'


def wrapped(line, indent):
    """A line with a parameter list, split after the commas of its list if it is too long."""
    if len(line) <= WIDTH:
        return [line]
    pad = " " * (indent + 4)
    opening = line.index("fn(" if "fn(" in line else "(") + (3 if "fn(" in line else 1)
    depth, closing, cuts = 1, opening, []
    while depth:
        c = line[closing]
        depth += c in "(<[" and line[closing - 1:closing + 1] != "->"
        depth -= c in ")]" or (c == ">" and line[closing - 1] != "-")
        if c == "," and depth == 1:
            cuts.append(closing)
        closing += 1
    closing -= 1
    parts, start = [], opening
    for cut in cuts + [closing]:
        parts += wrapped(pad + line[start:cut].strip() + ",", indent + 4)
        start = cut + 1
    return [line[:opening]] + parts + [" " * indent + line[closing:]]


def generate(parser):
    out, functions, structs, constants = [], [], [], []
    enumeration = None
    while parser.peek():
        first = parser.peek()
        if first == "enum":
            parser.take()
            for name, value in parser.enumerators():
                kind = "u32" if name.startswith("DM_VERSION") else enumeration or "i32"
                if name.endswith("_MAX"):
                    kind = "usize"
                if "(" in value:
                    value = value[1:-1]
                doc = f"`{enumeration}`" if enumeration else "A constant"
                out += [f"/// {doc} of diffusion.h.", f"pub const {name}: {kind} = {value};"]
                if enumeration:
                    constants.append((enumeration, name))
            parser.take(";")
            enumeration = None
            continue
        enumeration = None
        if first == "typedef" and parser.peek(1) == "struct":
            parser.take()
            parser.take()
            name = parser.take()
            if parser.peek() == "{":
                fields = parser.fields()
                structs.append((name, fields))
                out += [f"/// `{name}` of diffusion.h.", "#[repr(C)]", "#[derive(Clone, Copy)]",
                        f"pub struct {name} {{"]
                for field, kind in fields:
                    out.append(f"    /// `{field}`.")
                    out += wrapped(f"    pub {name_of(field)}: {kind},", 4)
                out.append("}")
            else:
                out += [f"/// `{name}` of diffusion.h, known only through pointers.", "#[repr(C)]",
                        f"pub struct {name} {{", "    _private: [u8; 0],", "}"]
            while parser.take() != ";":
                pass
        elif first == "typedef":
            parser.take()
            name, kind = parser.declarator(parser.base())
            parser.take(";")
            if "fn(" in kind:
                out.append(f"/// `{name}` of diffusion.h.")
            else:
                enumeration = name
                out.append(f"/// The enumeration `{name}` of diffusion.h.")
            out += wrapped(f"pub type {name} = {kind};", 0)
        else:
            base = parser.base()
            result = parser.pointers(*base)
            name = parser.take()
            inside = ", ".join(f"{name_of(n)}: {t}" for n, t in parser.parameters())
            parser.take(";")
            tail = "" if result == "c_void" else f" -> {result}"
            functions.append(f"    /// `{name}` of diffusion.h.")
            functions += wrapped(f"    pub fn {name}({inside}){tail};", 4)
    return out + ['extern "C" {'] + functions + ["}"], structs, constants


def layout(structs, constants):
    out = ["// SPDX-License-Identifier: MIT",
           "// Generated by generate/sys.py from the library's header. Do not edit.", "",
           "fn structs() -> Vec<Struct> {", "    vec!["]
    for name, fields in structs:
        out += ["        Struct {", f'            name: "{name}",',
                f"            size: size_of::<{name}>(),", "            members: vec!["]
        for field, kind in fields:
            count = kind.split("; ")[1][:-1] if kind.startswith("[") else 1
            out.append(f"                member!({name}, {name_of(field)}, {count}),")
        out += ["            ],", "        },"]
    out += ["    ]", "}", "", "fn constants() -> Vec<Constant> {", "    vec!["]
    for enumeration, name in constants:
        out += wrapped(f'        ("{enumeration}", "{name}", {name}),', 8)
    return out + ["    ]", "}"]


def main():
    source, bindings, table = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        lines, structs, constants = generate(Parser(file.read()))
    head = ["// SPDX-License-Identifier: MIT",
            "// Generated by generate/sys.py from the library's header. Do not edit.", "",
            "use std::os::raw::{c_char, c_void};", ""]
    with open(bindings, "w", encoding="utf-8") as file:
        file.write("\n".join(head + lines) + "\n")
    with open(table, "w", encoding="utf-8") as file:
        file.write("\n".join(layout(structs, constants)) + "\n")


main()
