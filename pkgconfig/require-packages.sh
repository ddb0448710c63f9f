#!/bin/sh
# SPDX-License-Identifier: MIT
# Fails with advice where packages are missing.
#   require-packages.sh 'WHO NEEDS' 'MISSING...' HOST
set -eu
[ -n "$2" ] || exit 0
echo "error: pkg-config does not find what the $1: $2" >&2
if [ -n "$3" ]; then
    echo "       pkgconfig/build-needed.sh compiles packages for $3; see docs/platforms.md" >&2
elif [ -n "${PKG_CONFIG_LIBDIR:-}" ]; then
    echo "       it searches only PKG_CONFIG_LIBDIR, which is $PKG_CONFIG_LIBDIR" >&2
else
    echo "       'make deps' installs what is missing from your distribution" >&2
fi
exit 1
