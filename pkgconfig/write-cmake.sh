#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes CMake's files of the package to the folder OUT. They find the library by their own place,
# so that the installed tree can be moved.
# write-cmake.sh LIBDIR INCLUDEDIR VERSION SHARED NAME BLAS POINTER_BYTES OUT
# SHARED: the path of the shared library; NAME: that by which programs load it, or, with the end
# .dll.a, its import library in LIBDIR.
set -eu
here=$(dirname "$0")
blas=
[ "$6" = none ] || blas="$6;"
case $5 in
*.dll.a) named="IMPORTED_IMPLIB \"\${diffusion_libdir}/$5\"" ;;
*) named="IMPORTED_SONAME \"$5\"" ;;
esac
relative_path() { sh "$here/relative-path.sh" "$1" "$2" | sed 's/[&|\\]/\\&/g'; }
includedir=$(relative_path "$1" "$2")
shared=$(relative_path "$1" "$4")
for name in config config-version; do
    sed -e "s|@INCLUDEDIR@|$includedir|" -e "s|@VERSION@|$3|" -e "s|@SHARED@|$shared|" \
        -e "s|@NAME@|$named|" -e "s|@BLAS@|$blas|" -e "s|@POINTER@|$7|g" \
        "$here/diffusion-$name.cmake.in" > "$8/diffusion-$name.cmake"
done
