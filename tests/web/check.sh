#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the page, compares what it computes with a native build of the baseline kernels, which must
# be the same bits, and drives it in a browser. Screenshots are written to BUILD/web.  check.sh CC BUILD
set -eu
cc=$1 build=$2
for tool in emcc node; do
    command -v $tool >/dev/null || { echo "web: left out, no $tool"; exit 0; }
done
out=$build/web
${MAKE:-make} web BUILD="$build" OUT="$out"
native=$out/native
${MAKE:-make} BUILD="$native" BLAS=none ISAS=base "$native/libdiffusion.a"
# The words of the compiler are meant to be split.
# shellcheck disable=SC2086
$cc -O2 -Iinclude tests/web/steps.c examples/web/diffusion_web.c "$native/libdiffusion.a" -lz -lm \
    -pthread -o "$native/steps"
for steps in 1 100; do
    "$native/steps" $steps >"$native/$steps.txt"
    node tests/web/steps.js "$out/diffusion.js" $steps >"$out/$steps.txt"
    paste "$native/$steps.txt" "$out/$steps.txt" | awk -v steps=$steps '
        $1 != $2 + 0 { differ++ }
        END {
            printf "web: %d steps: %d of %d losses and pixels differ\n", steps, differ, NR
            exit differ > 0 || NR <= steps
        }'
done
python3 tests/web/browser_test.py "$(cd "$out" && pwd)/web/index.html" "$out"
