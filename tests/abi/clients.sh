#!/bin/sh
# SPDX-License-Identifier: MIT
# Clients that were compiled against older and newer headers behave as one of this header.
#   clients.sh CC BUILD
set -eu
here=$(dirname "$0")
out=$2/abi/clients
rm -rf "$out"
mkdir -p "$out"
sh pkgconfig/make-cdef.sh include/diffusion.h >"$out/diffusion_cdef.h"

# client VARIANT 'awk options' 'compiler options' files...
client() {
    mkdir -p "$out/$1"
    # The words of the options are meant to be split.
    # shellcheck disable=SC2086
    awk $2 -f "$here/variant.awk" "$out/diffusion_cdef.h" >"$out/$1/diffusion.h"
    # shellcheck disable=SC2086
    $cc -std=c11 -Wall -Wextra -Werror $3 -I"$out/$1" "$here/client.c" "$here/client_use.c" $4 \
        -L"$build" -ldiffusion -Wl,-rpath,"$(cd "$build" && pwd)" -o "$out/$1/client"
    "$out/$1/client" "$out/$1" >"$out/$1/output" || {
        echo "abi: the client of $1 headers failed" >&2
        exit 1
    }
    cmp "$out/current/output" "$out/$1/output" || {
        echo "abi: the client of $1 headers behaves otherwise than one of this header" >&2
        diff "$out/current/output" "$out/$1/output" >&2
        exit 1
    }
}
cc=$1
build=$2
client current '' '' ''
client older-by-1 '-v remove=1' '' ''
client older-by-2 '-v remove=2' '' ''
client newer '-v add=1' -DNEWER "$here/client_added.c"
for variant in older-by-1 older-by-2 newer; do
    if cmp -s "$out/current/diffusion.h" "$out/$variant/diffusion.h"; then
        echo "abi: the $variant header is this one" >&2
        exit 1
    fi
done
echo "abi: clients of older and newer headers ok"
