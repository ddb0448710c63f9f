#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes the committed tables, and the dump of abidw where it is installed; the library must
# have been built. Refuses anything but additions, unless --break is given, which needs a new SONAME
# or, before 1.0, a new minor version.  update.sh [--break] [BUILD [CC]]
set -eu
here=$(dirname "$0")
break=no
if [ "${1:-}" = --break ]; then
    break=yes
    shift
fi
build=${1:-build}
new=$build/abi/new
rm -rf "$new"
sh "$here/generate.sh" "${2:-cc}" "$build" "$new"
if [ $break = no ]; then
    status=0
    sh "$here/compare.sh" "$new" || status=$?
    if [ $status -gt 1 ]; then
        echo "abi: not an addition, so the tables stay as they are" >&2
        exit 1
    fi
fi
mkdir -p "$here/tables"
for table in layout64 layout32 enumerators declarations; do
    cp "$new/$table.txt" "$here/tables/$table.txt"
done
if command -v abidw >/dev/null 2>&1; then
    sh "$here/dump.sh" "$build" >"$here/tables/libdiffusion.abi"
else
    echo "abi: libdiffusion.abi left out (no abidw)"
fi
