#!/bin/sh
# SPDX-License-Identifier: MIT
# Removes folders, and those above them below PREFIX, where they are empty.
# remove-empty.sh PREFIX FOLDER...
set -eu
prefix=$1
shift
for folder in "$@"; do
    while [ "$folder" != "$prefix" ] && rmdir "$folder" 2>/dev/null; do
        folder=$(dirname "$folder")
    done
done
