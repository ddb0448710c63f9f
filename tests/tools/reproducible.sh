#!/bin/sh
# SPDX-License-Identifier: MIT
# The same sources give the same library in another folder. Not optimised, to save time.
# reproducible.sh BUILD
set -eu
work=$(cd "$1" && pwd)/tmp/reproducible
rm -rf "$work"
mkdir -p "$work/one" "$work/another folder"
for tree in one "another folder"; do
    cp -R Makefile include lib src examples tests pkgconfig "$work/$tree"
    ${MAKE:-make} -C "$work/$tree" --no-print-directory CFLAGS="-O0 -g" BLAS=none library \
        >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
done
for file in libdiffusion.a "libdiffusion.so.$(${MAKE:-make} -s version)"; do
    cmp "$work/one/build/$file" "$work/another folder/build/$file" || {
        echo "reproducible: $file depends on its folder" >&2
        exit 1
    }
done
rm -rf "$work"
echo "reproducible: ok"
