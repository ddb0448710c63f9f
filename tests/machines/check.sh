#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the library and the tests for another machine in BUILD/MACHINE, with BLAS=none, and runs
# suites there, without names all: under Wine, qemu-user or, for i386 and musl, on this processor.
# zlib and Check are built from Debian's sources, since there are no packages of them for all of
# these.  check.sh MACHINE BUILD [SUITE...]
# MACHINE: windows, aarch64, armhf, i386, musl or s390x, which is refused while compiling.
set -eu
machine=$1
mkdir -p "$2/$1"
build=$(cd "$2/$1" && pwd)
shift 2
log=$build/log

wrapper= system=Linux link=-static
case $machine in
windows) host=x86_64-w64-mingw32 cc=$host-gcc-posix wrapper=wine system=Windows link= ;;
aarch64) host=aarch64-linux-gnu cc=$host-gcc wrapper=qemu-aarch64 ;;
armhf) host=arm-linux-gnueabihf cc=$host-gcc wrapper=qemu-arm ;;
i386) host=i686-linux-gnu cc=$host-gcc ;;
s390x) host=s390x-linux-gnu cc=$host-gcc wrapper=qemu-s390x ;;
musl) host=x86_64-linux-musl cc=musl-gcc ;;
*)
    echo "machines: '$machine' is none of windows, aarch64, armhf, i386, musl, s390x" >&2
    exit 2
    ;;
esac
for tool in $cc $wrapper cmake; do
    command -v $tool >/dev/null || { echo "$machine: left out, no $tool"; exit 0; }
done
ar=ar
if command -v $host-ar >/dev/null; then ar=$host-ar; fi
quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }; }

build_zlib() {
    quietly sh pkgconfig/build-zlib.sh "$cc -O2 -fPIC" "$ar" "$build/zlib"
    mkdir -p "$build/packages/lib/pkgconfig"
    cat >"$build/packages/lib/pkgconfig/zlib.pc" <<END
Name: zlib
Description: compression
Version: 1
Libs: -L$build/zlib -lz
Cflags: -I$build/zlib
END
}
build_check() {
    sh pkgconfig/debian-source.sh check "$build/source"
    quietly cmake -S "$build/source/check" -B "$build/source/check-build" \
        -DCMAKE_SYSTEM_NAME=$system -DCMAKE_C_COMPILER="$cc" -DBUILD_SHARED_LIBS=OFF \
        -DCHECK_ENABLE_TESTS=OFF -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_INSTALL_PREFIX="$build/packages"
    quietly cmake --build "$build/source/check-build" --target install
}
[ -f "$build/zlib/libz.a" ] || build_zlib
[ -f "$build/packages/lib/libcheck.a" ] || build_check

packages="env PKG_CONFIG_PATH= PKG_CONFIG_LIBDIR=$build/packages/lib/pkgconfig"
build_with() {
    ${MAKE:-make} CC="$cc" AR="$ar" BLAS=none BUILD="$build" LDFLAGS="$link" \
        PKG_CONFIG="$packages pkg-config --static" CFLAGS="-O2 -g" "$@"
}
runner=$build/run_tests
if [ $machine = windows ]; then runner=$runner.exe; fi
if [ $machine = s390x ]; then
    if build_with "$build/libdiffusion.a" >"$log" 2>&1; then
        echo "s390x: a big-endian build was not refused" >&2
        exit 1
    fi
    grep -m 1 'static assertion failed' "$log" || { cat "$log" >&2; exit 1; }
    echo "s390x: ok, refused while compiling"
    exit 0
fi
build_with "$runner"

if [ $machine = windows ]; then
    WINEPREFIX=${WINEPREFIX:-$build/wine} WINEDEBUG=-all
    export WINEPREFIX WINEDEBUG
    wine cmd /c exit >/dev/null 2>&1 # makes the prefix
fi
if [ $# = 0 ]; then
    set -- $(sed -n 's/.*test_\([a-z0-9_]*\)_suite(void);.*/\1/p' "$runner.c")
fi
DM_TEST_BUILD=${build#"$PWD/"} CK_EXCLUDE_TAGS="exhaustive" \
    CK_TIMEOUT_MULTIPLIER=20 sh tests/tools/run_suites.sh "$runner" "$wrapper" "$@" \
    >"$build/suites" 2>&1 || {
    grep -v '100%' "$build/suites" >&2
    exit 1
}
awk -v machine=$machine -F'Checks: ' '/100%/ { suites++; checks += $2 }
    END { print machine ": ok, " suites " suites, " checks " checks" }' "$build/suites"
