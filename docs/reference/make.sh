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
# Pages of sections, structs and functions; Doxygen writes one for each member and value too. They
# have the version for a date, so that they are the same each time, a name line that `apropos` reads,
# and no text that begins with an apostrophe, which troff takes for a request.
mkdir "$out/man3"
for page in "$out"/man/man3/dm_*.3; do
    name=${page##*/}
    name=${name%.3}
    sed -e "s|^\(\.TH \"[^\"]*\" 3\) \"[^\"]*\"|\1 \"\"|" -e "s|^'|\\\\\\&'|" \
        -e "/^\.SH NAME/,/^\.SH/s|^$name *\$|$name \\\\- struct of libdiffusion|" "$page" \
        >"$out/man3/$name.3"
done
rm -rf "$out/man"
