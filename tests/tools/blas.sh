#!/bin/sh
# The products by BLAS, and what stands on them, with each variant of the BLAS library that Debian has and that is installed here:
# on its own threads, on OpenMP, sequential.  blas.sh RUNNER BLAS
set -eu
found=
for folder in /usr/lib/*/"$2"-pthread /usr/lib/*/"$2"-openmp /usr/lib/*/"$2"-serial; do
    LD_LIBRARY_PATH=$folder ldd "$1" 2>/dev/null | grep -q "$folder/" || continue
    found=1
    sh "$(dirname "$0")/emulated.sh" "$1" "env LD_LIBRARY_PATH=$folder" gemm conv conv_gradient ops
done
[ -n "$found" ] || { echo "blas: no variant of $2 is installed, such as Debian's lib${2}0-pthread or lib${2}4-pthread" >&2; exit 1; }
echo "blas: ok"
