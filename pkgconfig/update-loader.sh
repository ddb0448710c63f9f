#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs ldconfig after an installation by root into a folder that the loader searches.
# update-loader.sh LDCONFIG LIBDIR
set -eu
[ "$(id -u)" = 0 ] || exit 0
# The loader may list /usr/lib as /lib.
if $1 -N -v 2>/dev/null | grep -q -e "^$2:" -e "^${2#/usr}:"; then
    echo "$1"
    $1 || true
fi
