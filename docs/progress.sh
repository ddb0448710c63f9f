#!/bin/sh
# SPDX-License-Identifier: MIT
# The progress of a training run as terminals of 60, 80 and 200 columns show it, for docs/progress.md:
# of the frames, each of which replaces the one before, every tenth.  progress.sh DIFFUSION WORK
set -eu
diffusion=$1 work=$2
mkdir -p "$work"
for columns in 60 80 200; do
    rm -rf "$work/run"
    TERM=xterm script -qec "stty cols $columns; '$diffusion' train builtin --size 16 --steps 60 \
        --samples 0 --no-pictures --out '$work/run'" "$work/typescript" >/dev/null
    printf '%s columns:\n\n' "$columns"
    # A frame begins with a carriage return and ends with "erase to the end of the line".
    tr '\r' '\n' <"$work/typescript" | sed -n 's/^\(training .*\)\x1b\[K$/\1/p' |
        awk -v columns="$columns" 'length > columns { exit 1 } NR % 10 == 1 { print "    " $0 }'
    printf '\n'
done
