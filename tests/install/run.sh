#!/bin/sh
# Installs into a folder of its own and builds a program against it, shared, static and through DESTDIR.  run.sh CC BUILD
set -eu
stage=$PWD/$2/stage
rm -rf "$stage"
make --no-print-directory install PREFIX="$stage/usr" BUILD="$2" >/dev/null
export PKG_CONFIG_PATH="$stage/usr/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
# The flags that pkg-config prints are meant to be split.
# shellcheck disable=SC2046
$1 tests/install/app.c $(pkg-config --cflags --libs diffusion) -o "$stage/app"
LD_LIBRARY_PATH="$stage/usr/lib" "$stage/app"
# shellcheck disable=SC2046
$1 tests/install/app.c $(pkg-config --cflags diffusion) "$stage/usr/lib/libdiffusion.a" \
    $(pkg-config --static --libs diffusion | sed 's/-ldiffusion//') -o "$stage/app-static"
"$stage/app-static"
"$stage/app-static"
make --no-print-directory install PREFIX=/usr DESTDIR="$stage/dest" BUILD="$2" >/dev/null
grep -q '^prefix=/usr$' "$stage/dest/usr/lib/pkgconfig/diffusion.pc"
echo "install: ok"
