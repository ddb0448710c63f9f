#!/bin/sh
# SPDX-License-Identifier: MIT
# Says what is missing for `make fuzz`: need.sh CC. Fails if CC cannot link with libFuzzer.
set -eu
cc=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/a.c" <<'C'
#include <stddef.h>
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) { return !data && size; }
C
if ! $cc -fsanitize=fuzzer,address "$folder/a.c" -o "$folder/a" 2> "$folder/errors"; then
    cat "$folder/errors" >&2
    echo "fuzz: needs clang with libFuzzer: on Debian the packages clang and libclang-rt-14-dev" >&2
    exit 1
fi
