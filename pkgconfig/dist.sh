#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes the archive of the last commit, the same bytes each time, with its checksum and Meson's
# subproject: its folder `subprojects` is copied into a project.  dist.sh VERSION OUT
set -eu
name=libdiffusion-$1 out=$2
mkdir -p "$out/subprojects"
git archive --format=tar --prefix="$name/" HEAD | gzip -9n >"$out/$name.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
cp -R pkgconfig/meson/packagefiles "$out/subprojects"
cp "$out/$name.tar.gz" "$out/subprojects/packagefiles"
sh pkgconfig/write-wrap.sh "$1" "$out/$name.tar.gz" >"$out/subprojects/diffusion.wrap"
[ -z "$(git status --porcelain)" ] || echo "dist: uncommitted changes are left out" >&2
echo "dist: $out/$name.tar.gz"
