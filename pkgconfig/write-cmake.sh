#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes CMake's files of the package to the folder OUT. They find the library by their own place, so
# that the installed tree can be moved.
# write-cmake.sh LIBDIR INCLUDEDIR VERSION SOVERSION BLAS POINTER_BYTES OUT
set -eu
here=$(dirname "$0")
blas=
[ "$5" = none ] || blas="$5;"
includedir=$(sh "$here/relative-path.sh" "$1" "$2" | sed 's/[&|\\]/\\&/g')
for name in config config-version; do
    sed -e "s|@INCLUDEDIR@|$includedir|" -e "s|@VERSION@|$3|" -e "s|@SOVERSION@|$4|" \
        -e "s|@BLAS@|$blas|" -e "s|@POINTER@|$6|g" "$here/diffusion-$name.cmake.in" \
        > "$7/diffusion-$name.cmake"
done
