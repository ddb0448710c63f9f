#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints the way from folder FROM to folder TO, as ../lib64, or "." for the same folder. Both are
# absolute.  relative-path.sh FROM TO
set -eu
common=${1%/} to=${2%/} up=
while [ "${to#"$common"/}" = "$to" ] && [ "$to" != "$common" ]; do
    common=${common%/*}
    up=../$up
done
way=${up%/}${to#"$common"}
[ -n "$up" ] || way=${way#/}
printf '%s\n' "${way:-.}"
