#!/bin/sh
# SPDX-License-Identifier: MIT
# The products of dmi_gemm, and what uses them, with each variant of the BLAS library that
# Debian has and that is installed here: on its own threads, on OpenMP, sequential. In a build
# without BLAS, once.  blas.sh RUNNER openblas|blis|none
set -eu
if [ "$2" = none ]; then
    if ldd "$1" | grep -iE 'blas|blis'; then
        echo "blas: the runner of a build without BLAS needs one" >&2
        exit 1
    fi
    sh "$(dirname "$0")/emulated.sh" "$1" env gemm conv conv_gradient ops
    echo "blas: ok"
    exit
fi
found=
for folder in /usr/lib/*/"$2"-pthread /usr/lib/*/"$2"-openmp /usr/lib/*/"$2"-serial; do
    LD_LIBRARY_PATH=$folder ldd "$1" 2>/dev/null | grep -q "$folder/" || continue
    found=1
    sh "$(dirname "$0")/emulated.sh" "$1" "env LD_LIBRARY_PATH=$folder" gemm conv conv_gradient ops
done
if [ -z "$found" ]; then
    echo "blas: no variant of $2 is installed, such as Debian's lib${2}0-pthread or" \
        "lib${2}4-pthread" >&2
    exit 1
fi
# The base kernels' convolutions that BLAS computes where the processor has AVX but not AVX2: see
# lib/autograd/conv/select.c.
if [ "$2" = openblas ] && grep -qw avx /proc/cpuinfo; then
    sh "$(dirname "$0")/emulated.sh" "$1" "env OPENBLAS_CORETYPE=Sandybridge" gemm conv \
        conv_gradient pair graph plan
fi
echo "blas: ok"
