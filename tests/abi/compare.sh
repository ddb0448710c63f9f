#!/bin/sh
# SPDX-License-Identifier: MIT
# Compares the committed tables with those that generate.sh wrote; compare.sh FOLDER. Ends with 0 if
# they are equal, 1 if the interface was only extended, 2 if something changed or is gone.
# A new member follows at the end of its struct: the offsets of the old lines stay, and layout.c
# refuses gaps.
set -eu
committed=$(dirname "$0")/tables
result=0
for table in layout64 layout32 enumerators declarations; do
    old=$committed/$table.txt
    new=$1/$table.txt
    if gone=$(grep -Fxvf "$new" "$old"); then
        printf 'abi: %s.txt: these lines are gone:\n%s\n' "$table" "$gone" >&2
        result=2
    fi
    if more=$(grep -Fxvf "$old" "$new"); then
        printf 'abi: %s.txt: these lines are new:\n%s\n' "$table" "$more" >&2
        [ $result != 0 ] || result=1
    fi
done
exit $result
