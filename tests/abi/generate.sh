#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes the tables of the public interface as the library and the header have them now: layout64,
# layout32, enumerators and declarations (.txt).  generate.sh CC BUILD FOLDER
set -eu
here=$(dirname "$0")
build=$2
out=$3
mkdir -p "$out"
sh pkgconfig/make-cdef.sh include/diffusion.h >"$out/diffusion_cdef.h"
awk -f "$here/list.awk" "$out/diffusion_cdef.h" >"$out/list"
# The words of CC are meant to be split.
# shellcheck disable=SC2086
$1 -Iinclude "$here/layout.c" -L"$build" -ldiffusion -Wl,-rpath,"$(cd "$build" && pwd)" \
    -o "$out/print_tables"
"$out/print_tables" >"$out/run-time"
grep -v '^name ' "$out/run-time" >"$out/layout"
# No struct has padding on any target, so that sizes alone give the offsets of a 32-bit target, and
# of a 64-bit one again; assertions.awk lets compilers confirm it.
for bits in 32 64; do
    awk -v pointer=$((bits / 8)) '
        $1 != owner { owner = $1; offset = 0 }
        $3 ~ /^(string|pointer|function)$/ { $6 = pointer }
        { $4 = offset; offset += $5 * $6; print }' "$out/layout" >"$out/layout$bits.txt"
done
{
    grep '^enumerator ' "$out/list" | grep -v ' DM_VERSION'
    grep '^name ' "$out/run-time"
} >"$out/enumerators.txt"
grep -v '^enumerator ' "$out/list" >"$out/declarations.txt"
