#!/bin/sh
# SPDX-License-Identifier: MIT
# The public interface is what tests/abi/tables says, for the library and for compilers of several
# targets; clients of older and newer headers work; diffusion_cdef.h is complete.
#   check.sh CC BUILD
set -eu
here=$(dirname "$0")
build=$2
out=$build/abi
mkdir -p "$out"
sh "$here/generate.sh" "$1" "$build" "$out/now"
status=0
sh "$here/compare.sh" "$out/now" || status=$?
case $status in
0) ;;
1)
    echo "abi: the interface grew; run tests/abi/update.sh and commit the tables" >&2
    exit 1
    ;;
*)
    echo "abi: the interface is no longer compatible; docs/abi.md says what may change" >&2
    exit 1
    ;;
esac

# The run-time tables list every member of the header, in order, and every enumeration.
grep '^member ' "$out/now/list" | cut -d' ' -f2,3 >"$out/in-header"
cut -d' ' -f1,2 "$out/now/layout" >"$out/at-run-time"
# Structs may be in another order.
sort -s -k1,1 "$out/in-header" >"$out/members-in-header"
sort -s -k1,1 "$out/at-run-time" | diff "$out/members-in-header" - || {
    echo "abi: < is a member in the header, > in the run-time tables" >&2
    exit 1
}
grep '^enumerator dm_' "$out/now/list" | cut -d' ' -f2,4 | sort -u >"$out/values-in-header"
grep '^name ' "$out/now/run-time" | cut -d' ' -f2,4 | sort -u >"$out/values-at-run-time"
missing=$(comm -23 "$out/values-in-header" "$out/values-at-run-time")
[ -z "$missing" ] || {
    printf 'abi: enumerators without a name at run time:\n%s\n' "$missing" >&2
    exit 1
}

# The committed layout against compilers.
for bits in 32 64; do
    awk -f "$here/assertions.awk" "$here/tables/layout$bits.txt" "$here/tables/enumerators.txt" \
        >"$out/assert$bits.c"
done
# The words of CC are meant to be split.
# shellcheck disable=SC2086
own=$($1 -dM -E -x c /dev/null | awk '$2 == "__SIZEOF_POINTER__" { print 8 * $3 }')
# shellcheck disable=SC2086
$1 -std=c11 -Iinclude -Wpadded -Werror -fsyntax-only "$out/assert$own.c"
targets="the compiler's own"
if command -v "${CLANG:-clang}" >/dev/null 2>&1; then
    for target in x86_64-linux-gnu:64 aarch64-linux-gnu:64 i386-linux-gnu:32 \
        arm-linux-gnueabihf:32 wasm32-unknown-unknown:32; do
        "${CLANG:-clang}" --target="${target%:*}" -std=c11 -ffreestanding -fsyntax-only \
            -Iinclude -Wpadded -Werror "$out/assert${target#*:}.c"
        targets="$targets, ${target%%-*}"
    done
else
    targets="$targets (others left out: no clang)"
fi
echo "abi: tables ok for $targets"

# A python3 for another target cannot load the library.
python=$(python3 -c 'import struct; print(8 * struct.calcsize("P"))' 2>/dev/null || echo none)
[ "$python" = "$own" ] || python=
sh "$here/cdef.sh" "$1" "$build" "$own" "$python"
sh "$here/clients.sh" "$1" "$build"
if [ -n "$python" ]; then
    python3 "$here/header_test.py" include/diffusion.h "$build/libdiffusion.so"
    python3 "$here/client.py" "$build/libdiffusion.so" "$out"
else
    echo "abi: client.py left out (no python3 that can load the library)"
fi
sh "$here/abidiff.sh" "$build"
