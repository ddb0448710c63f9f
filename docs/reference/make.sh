#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes the HTML reference to OUT/html and the manual pages to OUT/man3; a warning of Doxygen is an
# error.  make.sh VERSION OUT
set -eu
version=$1 out=$2
rm -rf "$out"
mkdir -p "$out"
{
    cat docs/reference/Doxyfile
    echo "PROJECT_NUMBER = $version"
    echo "OUTPUT_DIRECTORY = \"$out\""
} | doxygen -
# Pages of sections, structs and functions; Doxygen writes one for each member and value too.
mkdir "$out/man3"
for page in "$out"/man/man3/dm_*.3; do
    name=${page##*/}
    awk -v name="${name%.3}" -f docs/reference/man.awk "$page" >"$out/man3/$name"
done
rm -rf "$out/man"
