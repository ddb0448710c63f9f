#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes CMake's files of the package to the folder OUT. They find the library by their own place, so
# that the installed tree can be moved.
# write-cmake.sh LIBDIR INCLUDEDIR VERSION SHARED SONAME BLAS POINTER_BYTES OUT
# SHARED: the file of the shared library; SONAME: the name by which programs load it.
set -eu
here=$(dirname "$0")
blas=
[ "$6" = none ] || blas="$6;"
includedir=$(sh "$here/relative-path.sh" "$1" "$2" | sed 's/[&|\\]/\\&/g')
for name in config config-version; do
    sed -e "s|@INCLUDEDIR@|$includedir|" -e "s|@VERSION@|$3|" -e "s|@SHARED@|$4|" \
        -e "s|@SONAME@|$5|" -e "s|@BLAS@|$blas|" -e "s|@POINTER@|$7|g" \
        "$here/diffusion-$name.cmake.in" > "$8/diffusion-$name.cmake"
done
