#!/bin/sh
# SPDX-License-Identifier: MIT
# diffusion_cdef.h declares what diffusion.h declares: its list is that of the preprocessed header,
# a C compiler finds the committed layout for 32 or 64 BITS in it, and cffi or pycparser, where
# python3 has one of them, takes it.  cdef.sh CC BUILD BITS [has-python]
set -eu
here=$(dirname "$0")
out=$2/abi
sh pkgconfig/make-cdef.sh include/diffusion.h >"$out/diffusion_cdef.h"
if grep -nE '#|/\*|\*/|//|__|extern|DM_API|"' "$out/diffusion_cdef.h"; then
    echo "cdef: diffusion_cdef.h holds more than declarations" >&2
    exit 1
fi
# The words of CC are meant to be split.
# shellcheck disable=SC2086
grep -v '^#include' include/diffusion.h | $1 -E -P -x c - |
    sed 's/__attribute__((visibility("default"))) *//' >"$out/preprocessed.h"
awk -f "$here/list.awk" "$out/preprocessed.h" >"$out/preprocessed.list"
awk -f "$here/list.awk" "$out/diffusion_cdef.h" | grep -v '^enumerator - DM_VERSION' |
    diff "$out/preprocessed.list" - || {
    echo "cdef: < is declared in diffusion.h, > in diffusion_cdef.h" >&2
    exit 1
}
{
    echo '#include <stdint.h>'
    awk -f "$here/assertions.awk" "$here/tables/layout$3.txt" "$here/tables/enumerators.txt" |
        sed 's/"diffusion.h"/"diffusion_cdef.h"/'
} >"$out/cdef.c"
# shellcheck disable=SC2086
$1 -std=c11 -I"$out" -Wall -Werror -fsyntax-only "$out/cdef.c"
if [ -n "${4:-}" ]; then
    python3 "$here/cdef_test.py" "$out/diffusion_cdef.h" "$2/libdiffusion.so"
else
    echo "cdef: ok for the C compiler (cffi left out: no python3 that can load the library)"
fi
