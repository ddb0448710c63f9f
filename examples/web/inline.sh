#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints index.html with the files that its lines @@NAME@@ name, of one of the folders.
# inline.sh FOLDER...
set -eu
page=$1/index.html
while IFS= read -r line; do
    case $line in
    @@*@@)
        name=${line#@@}
        name=${name%@@}
        for folder in "$@"; do
            if [ -f "$folder/$name" ]; then
                cat "$folder/$name"
                break
            fi
        done
        ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$page"
