#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes the declarations of diffusion.h for tools that parse C but do not preprocess it, such as
# cffi's ffi.cdef(): without comments, directives and attributes, with numeric macros as an enum.
#   pkgconfig/make-cdef.sh include/diffusion.h > diffusion_cdef.h
set -eu
awk '
# The line without comments; in_comment holds across lines.
function uncomment(line,    out, at) {
    out = ""
    while (line != "") {
        if (in_comment) {
            at = index(line, "*/")
            if (!at) return out
            line = substr(line, at + 2)
            in_comment = 0
        }
        at = index(line, "/*")
        if (!at) return out line
        out = out substr(line, 1, at - 1)
        line = substr(line, at + 2)
        in_comment = 1
    }
    return out
}
{ line = uncomment($0); sub(/[ \t]+$/, "", line) }
line == "" { next }
# Blocks for C++ hold nothing but extern "C".
line ~ /^#ifdef __cplusplus/ { in_cplusplus = 1 }
line ~ /^#endif/ { in_cplusplus = 0 }
line ~ /^#define [A-Z_]+ [(0-9]/ {
    split(line, words, " ")
    value = substr(line, length("#define ") + length(words[2]) + 2)
    macros = macros (macros == "" ? "" : ",\n") "    " words[2] " = " value
}
line ~ /^#/ || in_cplusplus { next }
{ sub(/^DM_API /, "", line); body = body line "\n" }
END { printf "enum {\n%s\n};\n%s", macros, body }
' "$1"
