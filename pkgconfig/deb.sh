#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds Debian packages of the last commit in WORK and checks them with lintian where that is.
# deb.sh VERSION WORK
set -eu
version=$1 work=$2
for tool in dpkg-buildpackage dh; do
    command -v $tool >/dev/null || { echo "deb: left out, no $tool"; exit 0; }
done
rm -rf "$work"
mkdir -p "$work"
git archive --format=tar --prefix="libdiffusion-$version/" HEAD | tar -xf - -C "$work"
git archive --format=tar --prefix="libdiffusion-$version/" HEAD | gzip -9n \
    >"$work/libdiffusion_$version.orig.tar.gz"
cp -R "$work/libdiffusion-$version/pkgconfig/debian" "$work/libdiffusion-$version/debian"
log=$work/build.log
(cd "$work/libdiffusion-$version" && dpkg-buildpackage -us -uc) >"$log" 2>&1 || {
    tail -n 40 "$log" >&2
    exit 1
}
# Who publishes packages puts an address in place of the recipe's, which has no host.
if command -v lintian >/dev/null; then
    lintian --fail-on error --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog \
        "$work"/*.changes
else
    echo "deb: not checked, no lintian"
fi
for package in "$work"/*.deb; do echo "deb: $package"; done
