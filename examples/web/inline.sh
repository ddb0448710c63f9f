#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints index.html with the files that its lines @@NAME@@ name, from FOLDER or BUILT.
# inline.sh FOLDER BUILT
set -eu
while IFS= read -r line; do
    case $line in
    @@*@@)
        name=${line#@@}
        name=${name%@@}
        if [ -f "$1/$name" ]; then cat "$1/$name"; else cat "$2/$name"; fi
        ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$1/index.html"
