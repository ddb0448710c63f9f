#!/bin/sh
# SPDX-License-Identifier: MIT
# Fails with advice where packages are missing.  require-packages.sh 'WHO NEEDS' 'MISSING...'
set -eu
[ -n "$2" ] || exit 0
echo "error: pkg-config does not find what the $1: $2" >&2
echo "       'make deps' installs what is missing from your distribution" >&2
exit 1
