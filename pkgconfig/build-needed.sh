#!/bin/sh
# SPDX-License-Identifier: MIT
# Compiles packages from Debian's sources, as static libraries for a machine of which there are no
# packages of them: what the library, its programs and its tests need. Headers, libraries and files
# for pkg-config are put below PREFIX. By hand where the package's own build serves no such machine.
# libpng and libzip need zlib before them.
#   build-needed.sh 'CC FLAGS...' AR PREFIX zlib|libpng|libjpeg|libzip|check...
set -eu
[ $# -ge 4 ] || {
    echo "usage: build-needed.sh 'CC FLAGS...' AR PREFIX zlib|libpng|libjpeg|libzip|check..." >&2
    exit 2
}
cc=$1 ar=$2
compiler=${cc%% *}
machine=$($compiler -dumpmachine)
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
    version=$(sed -n '1s/.*(\([0-9]*:\)\{0,1\}\([0-9.]*[0-9]\).*/\2/p' "$prefix/source/$1/debian/changelog")
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

# build_by_cmake NAME TARGET -DOPTION...: by the package's own build, and with zlib from PREFIX.
build_by_cmake() {
    name=$1 target=$2
    shift 2
    case $machine in
    *mingw*) system=Windows ;;
    *) system=Linux ;;
    esac
    quietly cmake -S "$prefix/source/$name" -B "$prefix/source/$name-build" \
        -DCMAKE_SYSTEM_NAME=$system -DCMAKE_SYSTEM_PROCESSOR="${machine%%-*}" \
        -DCMAKE_C_COMPILER="$compiler" -DCMAKE_C_FLAGS="${cc#"$compiler"}" \
        -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DCMAKE_INSTALL_PREFIX="$prefix" \
        -DCMAKE_INSTALL_LIBDIR=lib -DZLIB_INCLUDE_DIR="$prefix/include" \
        -DZLIB_LIBRARY="$prefix/lib/libz.a" "$@"
    quietly cmake --build "$prefix/source/$name-build" --target "$target"
}

# Its clock_gettime for Windows, which returns 0, must not be found before that of the threads.
build_check() {
    build_by_cmake check install -DCHECK_ENABLE_TESTS=OFF
    case $machine in
    *mingw*) describe check "-lwinpthread -l:libcheck.a -pthread -lm" ;;
    *) describe check "-l:libcheck.a -pthread -lm" ;;
    esac
}

build_libpng() {
    build_by_cmake libpng install -DPNG_SHARED=OFF -DPNG_TESTS=OFF -DPNG_HARDWARE_OPTIMIZATIONS=OFF
    describe libpng "-lpng16 -lz -lm"
}

# With SIMD where the assembler that it needs is there.
build_libjpeg() {
    build_by_cmake libjpeg jpeg-static -DENABLE_SHARED=OFF -DWITH_TURBOJPEG=OFF
    cp "$prefix/source/libjpeg-build/libjpeg.a" "$prefix/lib"
    (cd "$prefix/source/libjpeg" && cp jpeglib.h jmorecfg.h jerror.h ../libjpeg-build/jconfig.h \
        "$prefix/include")
    describe libjpeg -ljpeg
}

# Without encryption, and without compression but zlib's.
build_libzip() {
    set --
    for part in COMMONCRYPTO GNUTLS MBEDTLS OPENSSL WINDOWS_CRYPTO BZIP2 LZMA ZSTD; do
        set -- "$@" -DENABLE_$part=OFF
    done
    for part in TOOLS REGRESS EXAMPLES DOC; do set -- "$@" -DBUILD_$part=OFF; done
    build_by_cmake libzip install "$@"
    describe libzip "-lzip -lz"
}

# The source package of Debian.
source_of() {
    case $1 in
    libpng) echo libpng1.6 ;;
    libjpeg) echo libjpeg-turbo ;;
    *) echo "$1" ;;
    esac
}

for package in "$@"; do
    sh "$here/debian-source.sh" "$(source_of "$package")" "$prefix/source" "$package"
    "build_$package"
done
