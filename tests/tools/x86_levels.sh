#!/bin/sh
# SPDX-License-Identifier: MIT
# The choice of kernels on emulated x86-64 processors with and without AVX2, and the kernels for
# AVX2 themselves, for machines that lack it. AVX-512 is checked only where the machine has it:
# qemu-user does not emulate it.  x86_levels.sh BUILD
set -eu
runner=$1/run_tests
qemu=${QEMU_X86_64:-qemu-x86_64}
if ! command -v "$qemu" >/dev/null 2>&1; then
    echo "x86_levels: missing, by Debian's name: qemu-user" >&2
    exit 1
fi
if ! "$qemu" -cpu max /lib64/ld-linux-x86-64.so.2 --help | grep -q 'x86-64-v3 (supported'; then
    version=$("$qemu" --version | head -n 1)
    echo "x86_levels: this $qemu does not emulate AVX2, as version 7.2 does: $version" >&2
    exit 1
fi
emulated=$(dirname "$0")/emulated.sh
export DM_TEST_BUILD="$1"
# qemu64: SSE2. Nehalem: SSE4.2. The others: AVX2, and AVX2 of which one part, or the saving of
# registers, is missing.
for model in qemu64 Nehalem max max,-fma max,-bmi2 max,-abm max,-movbe max,-avx2 max,-xsave; do
    sh "$emulated" "$runner" "$qemu -cpu $model" base
done
sh "$emulated" "$runner" "$qemu -cpu max"
echo "x86_levels: ok"
