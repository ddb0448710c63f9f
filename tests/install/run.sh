#!/bin/sh
# Installs into a folder of its own and builds a program against it, shared, static and through DESTDIR.  run.sh CC BUILD
set -eu
make=${MAKE:-make}
stage=$(cd "$2" && pwd)/stage
rm -rf "$stage"
"$make" --no-print-directory install PREFIX="$stage/usr" BUILD="$2" LDCONFIG=true >/dev/null
export PKG_CONFIG_PATH="$stage/usr/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
# The flags that pkg-config prints are meant to be split.
# shellcheck disable=SC2046
$1 tests/install/app.c $(pkg-config --cflags --libs diffusion) -o "$stage/app"
LD_LIBRARY_PATH="$stage/usr/lib" "$stage/app"
sh pkgconfig/make-cdef.sh include/diffusion.h | cmp - "$stage/usr/include/diffusion_cdef.h"
# shellcheck disable=SC2046
$1 tests/install/app.c $(pkg-config --cflags diffusion) "$stage/usr/lib/libdiffusion.a" \
    $(pkg-config --static --libs diffusion | sed 's/-ldiffusion//') -o "$stage/app-static"
"$stage/app-static"

# Names with spaces: pkg-config escapes them, and eval takes the escapes away again.
"$make" --no-print-directory install PREFIX="/a usr" DESTDIR="$stage/a dest" BUILD="$2" >/dev/null
grep -q '^prefix=/a usr$' "$stage/a dest/a usr/lib/pkgconfig/diffusion.pc"
"$make" --no-print-directory uninstall PREFIX="/a usr" DESTDIR="$stage/a dest" BUILD="$2" >/dev/null
left=$(find "$stage/a dest" ! -type d)
[ -z "$left" ] || { echo "install: uninstall left $left" >&2; exit 1; }
"$make" --no-print-directory install PREFIX="$stage/a usr" BUILD="$2" LDCONFIG=true >/dev/null
flags=$(PKG_CONFIG_PATH="$stage/a usr/lib/pkgconfig" pkg-config --cflags --libs diffusion)
eval "$1 tests/install/app.c $flags -o '$stage/app-spaces'"
LD_LIBRARY_PATH="$stage/a usr/lib" "$stage/app-spaces" >/dev/null
echo "install: ok"
