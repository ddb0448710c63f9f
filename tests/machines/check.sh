#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the library and the tests for another machine in BUILD/MACHINE, with BLAS=none, and runs
# suites there: under Wine, qemu-user or, for i386 and musl, on this processor. Without names all
# are run, but under qemu-user those whose arithmetic takes many minutes there. For Windows and musl
# the program and its suites are tested too, for i386 the interface. zlib, Check and what the program
# needs are built from Debian's sources, since there are no packages of them for all of these.
#   check.sh MACHINE BUILD [SUITE...]
# MACHINE: windows, aarch64, armhf, i386, musl or s390x, which is refused while compiling.
set -eu
machine=$1
mkdir -p "$2/$1"
build=$(cd "$2/$1" && pwd)
shift 2
here=$(dirname "$0")
log=$build/log

needed="zlib check" program_needs="libpng libjpeg libzip" wrapper="" link=-static
case $machine in
windows)
    host=x86_64-w64-mingw32 cc=$host-gcc-posix wrapper=wine link=""
    needed="$needed $program_needs"
    ;;
aarch64) host=aarch64-linux-gnu cc=$host-gcc wrapper=qemu-aarch64 ;;
armhf) host=arm-linux-gnueabihf cc=$host-gcc wrapper=qemu-arm ;;
i386) host=i686-linux-gnu cc=$host-gcc link= ;;
s390x) host=s390x-linux-gnu cc=$host-gcc ;;
musl) host=x86_64-linux-musl cc=musl-gcc needed="$needed $program_needs" ;;
*)
    echo "machines: '$machine' is none of windows, aarch64, armhf, i386, musl, s390x" >&2
    exit 2
    ;;
esac
for tool in $cc $wrapper cmake; do
    command -v $tool >/dev/null || {
        echo "$machine: left out, no $tool"
        exit 0
    }
done
if [ $machine = i386 ] && [ ! -e /lib/ld-linux.so.2 ]; then
    echo "i386: left out, no libc6-i386"
    exit 0
fi
ar=ar
if command -v $host-ar >/dev/null; then ar=$host-ar; fi

packages=$build/needed
make_for() {
    PKG_CONFIG_PATH="" PKG_CONFIG_LIBDIR="$packages/lib/pkgconfig" ${MAKE:-make} CC="$cc" AR="$ar" \
        BLAS=none BUILD="$build" LDFLAGS="$link" PKG_CONFIG="pkg-config --static" CFLAGS="-O2 -g" \
        "$@"
}

if [ $machine = s390x ]; then
    if make_for "$build/obj/lib/io/safetensors_write.o" >"$log" 2>&1; then
        echo "s390x: a big-endian build was not refused" >&2
        exit 1
    fi
    grep -m 1 'static assertion failed' "$log" || {
        cat "$log" >&2
        exit 1
    }
    echo "s390x: ok, refused while compiling"
    exit 0
fi

for package in $needed; do
    [ -f "$packages/lib/pkgconfig/$package.pc" ] ||
        sh pkgconfig/build-needed.sh "$cc -O2 -fPIC" $ar "$packages" $package
done
runner=$build/run_tests program_runner=
case $machine in
windows)
    program_runner=$build/run_program_tests.exe runner=$runner.exe
    make_for library examples "$runner" "$program_runner"
    WINEPREFIX=${WINEPREFIX:-$build/wine} WINEDEBUG=-all
    export WINEPREFIX WINEDEBUG
    wine cmd /c exit >"$log" 2>&1 || { # makes the prefix
        cat "$log" >&2
        exit 1
    }
    # A server that stays: a program that starts while it ends fails now and then.
    if command -v wineserver >/dev/null; then { wineserver -w && wineserver -p60; } || true; fi
    PKG_CONFIG_LIBDIR="$packages/lib/pkgconfig" sh "$here/windows.sh" $cc "$build"
    ;;
i386)
    make_for library "$runner"
    sh tests/abi/check.sh $cc "$build"
    ;;
musl)
    program_runner=$build/run_program_tests
    make_for "$runner" "$program_runner"
    ;;
*) make_for "$runner" ;;
esac

slow="any_options|any_training|editing|evaluate|mixture|plan_size|recompute|shared_callbacks"
slow="$slow|step_memory|trained_mixture"
suites_of() { sed -n 's/.*test_\([a-z0-9_]*\)_suite(void);.*/\1/p' "$1.c"; }
: >"$build/suites"
# run_suites RUNNER 'SUITE...'
run_suites() {
    # The names are meant to be split.
    # shellcheck disable=SC2086
    DM_TEST_BUILD=${build#"$PWD/"} CK_EXCLUDE_TAGS="exhaustive" CK_TIMEOUT_MULTIPLIER=20 \
        sh tests/tools/run_suites.sh "$1" "$wrapper" $2 >>"$build/suites" 2>&1 || {
        grep -v '100%' "$build/suites" >&2
        exit 1
    }
}
of_library="" of_program=""
for suite in "$@"; do
    if [ "$program_runner" ] && suites_of "$program_runner" | grep -qx "${suite%%/*}"; then
        of_program="$of_program $suite"
    else
        of_library="$of_library $suite"
    fi
done
if [ $# = 0 ]; then
    of_library=$(suites_of "$runner" |
        case $wrapper in
        qemu*) grep -vxE "$slow" ;;
        *) cat ;;
        esac)
    [ -z "$program_runner" ] || of_program=$(suites_of "$program_runner")
fi
[ -z "$of_library" ] || run_suites "$runner" "$of_library"
[ -z "$of_program" ] || run_suites "$program_runner" "$of_program"
# The picture of examples/walkthrough.c, to look at: BUILD/MACHINE/walkthrough.png. Under qemu-user
# it would take a quarter of an hour.
draw_picture() {
    program=$build/picture
    [ $machine != windows ] || program=$program.exe
    # shellcheck disable=SC2086
    $cc -O2 -Iinclude examples/walkthrough.c "$build/libdiffusion.a" -L"$packages/lib" -lz -lm \
        -static -pthread -o "$program"
    (cd "$build" && $wrapper "$program" walkthrough.safetensors walkthrough.png >walkthrough.txt)
}
case $wrapper in
qemu*) ;;
*) draw_picture ;;
esac

awk -v machine=$machine -F'Checks: ' '/100%/ { suites++; checks += $2 }
    END { print machine ": ok, " suites " suites, " checks " checks" }' "$build/suites"
