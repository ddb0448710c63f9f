#!/bin/sh
# SPDX-License-Identifier: MIT
# Compares the shared library with the committed dump by libabigail, where that is installed and the
# library has debugging information.  abidiff.sh BUILD
set -eu
dump=$(dirname "$0")/tables/libdiffusion.abi
library=$1/libdiffusion.so
if ! command -v abidiff >/dev/null 2>&1; then
    echo "abi: abidiff left out (not installed)"
elif ! readelf -S "$library" | grep -q '\.debug_info'; then
    echo "abi: abidiff left out (no debugging information)"
elif [ "$(readelf -h "$library" | awk '/Machine:/ { print $NF }')" != X86-64 ]; then
    echo "abi: abidiff left out (the dump is of x86-64)"
elif report=$(abidiff "$dump" "$library" 2>&1); then
    echo "abi: abidiff ok"
else
    printf '%s\n' "$report" >&2
    echo "abi: abidiff finds a change; where it is compatible, run tests/abi/update.sh" >&2
    exit 1
fi
