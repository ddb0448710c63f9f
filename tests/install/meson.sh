#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds a program with the library as Meson's subproject, from an archive of this tree. Not
# optimised, to save time.  meson.sh WORK MAKE
set -eu
for tool in meson ninja; do
    command -v $tool >/dev/null || { echo "install: meson: left out, no $tool"; exit 0; }
done
work=$1/meson make=$2
rm -rf "$work"
mkdir -p "$work"
work=$(cd "$work" && pwd)
version=$($make -s version)
cache=$work/project/subprojects/packagefiles
mkdir -p "$cache" "$work/libdiffusion-$version"
cp -R Makefile include lib src examples tests pkgconfig docs LICENSE "$work/libdiffusion-$version"
(cd "$work" && tar -czf "$cache/libdiffusion-$version.tar.gz" "libdiffusion-$version")
cp -R pkgconfig/meson/packagefiles/diffusion "$cache"
sh pkgconfig/write-wrap.sh "$version" "$cache/libdiffusion-$version.tar.gz" \
    >"$work/project/subprojects/diffusion.wrap"
sed 's|\.\./app\.c|app.c|' tests/install/meson/meson.build >"$work/project/meson.build"
cp tests/install/app.c "$work/project"
log=$work/log
show() { cat "$log" >&2; exit 1; }
meson setup "$work/build" "$work/project" --wrap-mode=nodownload \
    -Ddiffusion:cflags=-O0 >"$log" 2>&1 || show
ninja -C "$work/build" >"$log" 2>&1 || show
"$work/build/app" >"$log" 2>&1 || show
echo "install: meson: ok"
