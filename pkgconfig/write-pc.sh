#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints diffusion.pc. Folders below the prefix are written relative to it, so that the installed
# tree can be moved.  write-pc.sh PREFIX LIBDIR INCLUDEDIR VERSION 'PACKAGES' 'LIBRARIES'
# PACKAGES, of pkg-config, and LIBRARIES, as -lm, are those of static linking.
set -eu
prefix=$1

relative() {
    # shellcheck disable=SC2016 # pkg-config expands ${prefix}
    case $1 in
    "$prefix"/*) printf '${prefix}/%s' "${1#"$prefix"/}" ;;
    *) printf '%s' "$1" ;;
    esac
}
# For the right side of sed's s|||.
escape() { printf '%s' "$1" | sed 's/[&|\\]/\\&/g'; }

sed -e "s|@PREFIX@|$(escape "$prefix")|" -e "s|@LIBDIR@|$(escape "$(relative "$2")")|" \
    -e "s|@INCLUDEDIR@|$(escape "$(relative "$3")")|" -e "s|@VERSION@|$(escape "$4")|" \
    -e "s|@REQUIRES@|$(escape "$5")|" -e "s|@PRIVATE@|$(escape "$6")|" "$(dirname "$0")/diffusion.pc.in"
