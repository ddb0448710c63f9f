#!/bin/sh
# SPDX-License-Identifier: MIT
# The functions that the header declares, those of the version script and the symbols that the
# shared library exports, each with its version, are the same. The archive's global names begin with
# dm_ or dmi_.  symbols.sh BUILD
set -eu
out=$1/abi
mkdir -p "$out"
sh pkgconfig/make-cdef.sh include/diffusion.h >"$out/symbols.h"
awk -f tests/abi/list.awk "$out/symbols.h" >"$out/symbols.list"
awk '$1 == "function" { print $2 }' "$out/symbols.list" | LC_ALL=C sort >"$out/symbols.header"
# name@node for each line "name;" of a node's global part; a pattern would stay as it is.
awk '/^[A-Z_0-9.]+ \{/ { node = $1 }
    $1 == "global:" { global = 1 }
    $1 == "local:" { global = 0 }
    global && /;/ { sub(/;.*/, ""); print $1 "@" node }' src/libdiffusion.map |
    LC_ALL=C sort >"$out/symbols.map"
nm -D --defined-only "$1/libdiffusion.so" |
    awk '$2 != "A" { sub(/@@/, "@", $3); print $3 }' | LC_ALL=C sort >"$out/symbols.exported"
if ! sed 's/@.*//' "$out/symbols.map" | diff "$out/symbols.header" -; then
    echo "symbols: < is declared in the header, > is in src/libdiffusion.map" >&2
    exit 1
fi
if ! diff "$out/symbols.map" "$out/symbols.exported"; then
    echo "symbols: < is in src/libdiffusion.map, > is exported" >&2
    exit 1
fi
if foreign=$(nm -g --defined-only "$1/libdiffusion.a" 2>/dev/null |
    awk 'NF == 3 && $3 !~ /^dmi?_/ { print $3; n++ } END { exit !n }'); then
    printf 'symbols: the archive has global names without prefix:\n%s\n' "$foreign" >&2
    exit 1
fi
echo "symbols: ok ($(wc -l <"$out/symbols.exported") exported)"
