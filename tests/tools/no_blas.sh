#!/bin/sh
# SPDX-License-Identifier: MIT
# A build without BLAS needs no BLAS library, names none in diffusion.pc, and runs in an address
# space of 20 MB, where OpenBLAS would wait for memory for ever, without threads, where OpenBLAS
# ends the process, and with every allocation of a training step refused.  no_blas.sh CC BUILD
set -eu
build=$2/none
make=${MAKE:-make}
"$make" --no-print-directory BLAS=none BUILD="$build" library >/dev/null
build=$(cd "$build" && pwd)
stage=$build/stage
fail() {
    echo "no_blas: $1" >&2
    exit 1
}
foreign='blas|blis|lapack|gfortran|quadmath|gomp'
if needed=$(ldd "$build/libdiffusion.so" | awk '{ print $1 }' | grep -iE "$foreign"); then
    fail "libdiffusion.so needs $needed"
fi
rm -rf "$stage"
"$make" --no-print-directory BLAS=none BUILD="$build" PREFIX="$stage" LDCONFIG=true install \
    >/dev/null
pc=$stage/lib/pkgconfig/diffusion.pc
if named=$(grep -E '^(Libs|Requires|Description)' "$pc" | grep -iE "$foreign"); then
    fail "diffusion.pc names $named"
fi
PKG_CONFIG_PATH="$stage/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
export PKG_CONFIG_PATH
# The words of the compiler and of pkg-config are meant to be split.
# shellcheck disable=SC2046,SC2086
$1 tests/install/no_blas.c $(pkg-config --cflags --libs diffusion) -Wl,-rpath,"$stage/lib" \
    -o "$stage/shared"
# shellcheck disable=SC2046,SC2086
$1 tests/install/no_blas.c $(pkg-config --cflags diffusion) "$stage/lib/libdiffusion.a" \
    $(pkg-config --static --libs diffusion | sed 's/-ldiffusion//') -o "$stage/static"
for program in shared static; do
    status=0
    (ulimit -v 20480 && exec timeout 60 "$stage/$program" "$stage/network.safetensors") || status=$?
    [ "$status" = 0 ] || fail "the $program program ended with $status under a limit of 20 MB"
done
# shellcheck disable=SC2046,SC2086
$1 tests/install/no_foreign.c $(pkg-config --cflags --libs diffusion) -Wl,-rpath,"$stage/lib" \
    -o "$stage/foreign"
status=0
"$stage/foreign" || status=$?
[ "$status" = 0 ] || fail "the program without threads and memory ended with $status"
echo "no_blas: ok"
