#!/bin/sh
# SPDX-License-Identifier: MIT
# Compiles every file of lib/ and src/ for 32-bit x86, with arithmetic in SSE registers, that rounds
# as on x86-64. Where the libraries for i386 are installed, it also builds the library and the tests
# and runs check-abi and the suites that test kernels; a processor for x86-64 runs them.
#   i386.sh BUILD
# MAKE and I386_CC name other programs, PKG_CONFIG_LIBDIR another folder of .pc files.
set -eu
build=$1/i386
libraries=${PKG_CONFIG_LIBDIR:-/usr/lib/i386-linux-gnu/pkgconfig}
# Range checks that are always true of a 32-bit size_t stay.
sse="-msse2 -mfpmath=sse"
sse="$sse -Wno-psabi -Wno-type-limits -Wno-tautological-constant-out-of-range-compare"
mkdir -p "$build/headers/gnu"

# The words of the compiler are meant to be split.
# shellcheck disable=SC2086
links() { printf 'int main(void) { return 0; }\n' | $1 -x c - -o "$build/links" 2>/dev/null; }

find_compiler() {
    for cc in ${I386_CC:+"$I386_CC"} "i686-linux-gnu-gcc" "gcc -m32"; do
        if links "$cc"; then return 0; fi
    done
    return 1
}

# Without a whole tool chain: headers for x86-64 serve once stubs-32.h, a list of functions that the
# C library lacks, exists.
check_syntax() {
    failed=
    : >"$build/headers/gnu/stubs-32.h"
    for file in lib/*/*.c lib/*/*/*.c src/*/*.c src/*/*/*.c; do
        case $file in
        lib/kernels/gemm.c | lib/kernels/select.c) isa=-DDMI_HAVE_ISA_base ;;
        lib/kernels/*) isa=-DDMI_ISA=base ;;
        *) isa=-DDMI_HAVE_ISA_base ;;
        esac
        # shellcheck disable=SC2086
        $1 -std=c11 -D_GNU_SOURCE $isa -DDMI_BLAS_NONE -Wall -Wextra -Werror $sse -fsyntax-only \
            -Ilib -Isrc -Iinclude -I"$build/headers" -idirafter /usr/include \
            -idirafter "/usr/include/$(cc -dumpmachine)" "$file" ||
            failed="$failed $file"
    done
    [ -z "$failed" ] || {
        echo "i386: these files do not compile:$failed" >&2
        exit 1
    }
}

if ! find_compiler; then
    cc="${CLANG:-clang} --target=i386-linux-gnu"
    if ! command -v "${CLANG:-clang}" >/dev/null 2>&1; then
        echo "i386: missing, by Debian's names: gcc-i686-linux-gnu, gcc-multilib or clang" >&2
        exit 1
    fi
    check_syntax "$cc"
    echo "i386: $cc compiles every file; nothing is linked, for lack of a C library for i386"
    exit 0
fi
missing=
for pair in zlib=zlib1g-dev check=check; do
    PKG_CONFIG_LIBDIR=$libraries pkg-config --exists "${pair%=*}" ||
        missing="$missing ${pair#*=}:i386"
done
if [ -n "$missing" ]; then
    check_syntax "$cc"
    echo "i386: $cc compiles every file; nothing is linked, for lack of$missing"
    exit 0
fi
export PKG_CONFIG_LIBDIR="$libraries"
# Where a linker for another target finds what libdiffusion.so needs.
cc="$cc $sse -Wl,-rpath-link,$(pkg-config --variable=libdir zlib)"
"${MAKE:-make}" --no-print-directory BUILD="$build" CC="$cc" BLAS=none library
sh tests/abi/check.sh "$cc" "$build"
"${MAKE:-make}" --no-print-directory BUILD="$build" CC="$cc" BLAS=none "$build/run_tests"
DM_TEST_BUILD=$build sh "$(dirname "$0")/emulated.sh" "$build/run_tests" "${I386_RUN:-env}"
echo "i386: ok"
