#!/bin/sh
# SPDX-License-Identifier: MIT
# Compiles zlib from Debian's source for a machine of which there is no package of it: libz.a, zlib.h
# and zconf.h in OUT. By hand, since that source lacks what its own build needs for Windows.
# build-zlib.sh 'CC FLAGS...' AR OUT
set -eu
ar=$2
mkdir -p "$3"
out=$(cd "$3" && pwd)
sh "$(dirname "$0")/debian-source.sh" zlib "$out/source"
cp "$out/source/zlib/zlib.h" "$out/source/zlib/zconf.h" "$out"
rm -f "$out/libz.a"
for part in adler32 crc32 deflate inflate inftrees inffast trees zutil; do
    # The words of the compiler are meant to be split.
    # shellcheck disable=SC2086
    $1 -c "$out/source/zlib/$part.c" -o "$out/$part.o"
    $ar rcs "$out/libz.a" "$out/$part.o"
done
