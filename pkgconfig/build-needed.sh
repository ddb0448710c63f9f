#!/bin/sh
# SPDX-License-Identifier: MIT
# Compiles packages from Debian's sources, as static libraries for a machine of which there are no
# packages of them: what the library, its programs and its tests need. Headers, libraries and files
# for pkg-config are put below PREFIX. By hand where the package's own build serves no such machine.
#   build-needed.sh 'CC FLAGS...' AR PREFIX zlib|popt|check...
set -eu
[ $# -ge 4 ] || {
    echo "usage: build-needed.sh 'CC FLAGS...' AR PREFIX zlib|popt|check..." >&2
    exit 2
}
cc=$1 ar=$2
mkdir -p "$3/include" "$3/lib/pkgconfig" "$3/source"
prefix=$(cd "$3" && pwd)
shift 3
here=$(cd "$(dirname "$0")" && pwd)
root=$PWD
log=$prefix/source/log
quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }; }

# compile NAME FOLDER 'FLAG...' PART...: lib/libNAME.a of FOLDER/PART.c, in FOLDER.
compile() {
    cd "$prefix/source/$2"
    name=$1 flags=$3 objects=
    shift 3
    for part in "$@"; do
        # The words of the compiler and the flags are meant to be split.
        # shellcheck disable=SC2086
        quietly $cc -w $flags -c "$part.c" -o "$part.o"
        objects="$objects $part.o"
    done
    rm -f whole.a
    # shellcheck disable=SC2086
    quietly $ar rcs whole.a $objects
    mv whole.a "$prefix/lib/lib$name.a"
    cd "$root"
}

# describe NAME 'LIBRARIES': the file for pkg-config.
describe() {
    version=$(sed -n '1s/.*(\([0-9.]*\).*/\1/p' "$prefix/source/$1/debian/changelog")
    cat >"$prefix/lib/pkgconfig/$1.pc" <<END
prefix=\${pcfiledir}/../..
Name: $1
Description: $1, built from Debian's source
Version: $version
Libs: -L\${prefix}/lib $2
Cflags: -I\${prefix}/include
END
}

build_zlib() {
    compile z zlib -DHAVE_UNISTD_H \
        adler32 compress crc32 deflate gzclose gzlib gzread gzwrite inffast inflate inftrees trees \
        uncompr zutil
    cp "$prefix/source/zlib/zlib.h" "$prefix/source/zlib/zconf.h" "$prefix/include"
    describe zlib -lz
}

# Without the functions for users, which serve programs that aliases start, and the width of the
# terminal: systems without them have no such header.
build_popt() {
    mkdir -p "$prefix/source/popt/src/empty/sys"
    : >"$prefix/source/popt/src/empty/sys/ioctl.h"
    without="-DHAVE_STRERROR -Dgetuid()=0 -Dgeteuid()=0 -Dgetgid()=0 -Dgetegid()=0"
    compile popt popt/src "$without -idirafter empty
        -DPACKAGE=\"popt\" -DPOPT_SYSCONFDIR=\"\"" \
        popt poptconfig popthelp poptint poptparse lookup3
    cp "$prefix/source/popt/src/popt.h" "$prefix/include"
    describe popt -lpopt
}

build_check() {
    compiler=${cc%% *}
    case $($compiler -dumpmachine) in
    *mingw*) system=Windows ;;
    *) system=Linux ;;
    esac
    quietly cmake -S "$prefix/source/check" -B "$prefix/source/check-build" \
        -DCMAKE_SYSTEM_NAME=$system -DCMAKE_C_COMPILER="$compiler" \
        -DCMAKE_C_FLAGS="${cc#"$compiler"}" -DBUILD_SHARED_LIBS=OFF \
        -DCHECK_ENABLE_TESTS=OFF -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" \
        -DCMAKE_INSTALL_LIBDIR=lib
    quietly cmake --build "$prefix/source/check-build" --target install
    describe check "-l:libcheck.a -pthread -lm"
}

for package in "$@"; do
    sh "$here/debian-source.sh" "$package" "$prefix/source"
    "build_$package"
done
