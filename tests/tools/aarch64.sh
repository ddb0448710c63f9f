#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the tests for AArch64 with Debian's cross compiler and its libraries for arm64, and runs all that check kernels under
# qemu-user.  aarch64.sh BUILD; MAKE, AARCH64_CC and QEMU_AARCH64 name other programs.
set -eu
build=$1/aarch64
cc=${AARCH64_CC:-aarch64-linux-gnu-gcc}
qemu=${QEMU_AARCH64:-qemu-aarch64}
PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig
export PKG_CONFIG_LIBDIR

missing=
command -v "$cc" >/dev/null 2>&1 || missing="$missing gcc-aarch64-linux-gnu"
command -v "$qemu" >/dev/null 2>&1 || missing="$missing qemu-user"
command -v pkg-config >/dev/null 2>&1 || missing="$missing pkg-config"
for pair in openblas=libopenblas-dev zlib=zlib1g-dev check=check; do
    [ -f "$PKG_CONFIG_LIBDIR/${pair%=*}.pc" ] || missing="$missing ${pair#*=}:arm64"
done
if [ -n "$missing" ]; then
    echo "aarch64: missing, by Debian's names:$missing" >&2
    echo "         dpkg --add-architecture arm64 && apt-get update && apt-get install$missing" >&2
    exit 1
fi
"${MAKE:-make}" --no-print-directory BUILD="$build" CC="$cc" AR=aarch64-linux-gnu-ar BLAS=openblas "$build/run_tests"
DM_TEST_BUILD=$build sh "$(dirname "$0")/emulated.sh" "$build/run_tests" "$qemu"
echo "aarch64: ok"
