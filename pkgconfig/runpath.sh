#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints the RUNPATH with which programs in BINDIR find a library in LIBDIR, as $ORIGIN/../lib64, or
# nothing where the loader searches LIBDIR anyway.  runpath.sh BINDIR LIBDIR LDCONFIG
set -eu
libdir=${2%/}
# `ldconfig -N -v` prints each folder with a colon; /usr/lib may be listed as /lib.
searched=$({ $3 -N -v || /sbin/ldconfig -N -v; } 2>/dev/null | sed -n 's|^\(/[^:]*\):.*|\1|p')
for folder in /lib /usr/lib $searched; do
    case $libdir in "$folder" | "/usr$folder") exit 0 ;; esac
done
# shellcheck disable=SC2016 # the loader expands $ORIGIN
printf '$ORIGIN/%s\n' "$(sh "$(dirname "$0")/relative-path.sh" "$1" "$libdir")" | sed 's|/\.$||'
