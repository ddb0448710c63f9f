#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes a wheel that carries the given shared library, built with BLAS=none, into the folder OUT,
# and prints its name. Needs python3, objdump and strip, and no network.  make_wheel.sh LIBRARY OUT
#
#     make BLAS=none library && sh examples/python/make_wheel.sh build/libdiffusion.so.0.9.0 dist
set -eu
[ $# = 2 ] || {
    echo "usage: make_wheel.sh LIBRARY OUT" >&2
    exit 2
}
library=$1
out=$2
folder=$(dirname "$0")
for tool in python3 objdump strip; do
    command -v $tool >/dev/null 2>&1 || {
        echo "make_wheel: no $tool" >&2
        exit 1
    }
done

# Libraries that every system has which the tag names; of zlib, see PEP 600's policy.
for needed in $(objdump -p "$library" | awk '$1 == "NEEDED" { print $2 }'); do
    case $needed in
    libc.so.* | libm.so.* | libpthread.so.* | libz.so.1 | ld-linux*) ;;
    *)
        echo "make_wheel: $library needs $needed; build it with BLAS=none" >&2
        exit 1
        ;;
    esac
done

# manylinux_2_N: the newest version of glibc of which the library needs a symbol, at least 2.17.
minor=$(objdump -T "$library" | sed -n 's/.*GLIBC_2\.\([0-9]*\).*/\1/p' | sort -n | tail -1)
[ "${minor:-0}" -ge 17 ] || minor=17
if objdump -p "$library" | grep -q GLIBC_ABI_DT_RELR && [ "$minor" -lt 36 ]; then minor=36; fi
machine=$(python3 -c 'import sysconfig; print(sysconfig.get_platform().split("-", 1)[1])')

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
strip -g -o "$work/libdiffusion.so" "$library"
mkdir -p "$out"
python3 "$folder/tools/build_wheel.py" "$work/libdiffusion.so" \
    "manylinux_2_${minor}_$machine" "$out"
