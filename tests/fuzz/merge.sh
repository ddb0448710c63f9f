#!/bin/sh
# SPDX-License-Identifier: MIT
# Chooses inputs that fuzzing found for the committed corpora: merge.sh BUILD TARGET... from the
# repository root. Of all inputs below the size limit, those are taken that add most to what the
# ones before them reach, until there are 40 with the seeds, or 60 KB. Earlier choices are
# replaced; seeds stay.
set -eu
build=$1
shift
here=tests/fuzz
work=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$work"' EXIT
TMPDIR=$work; export TMPDIR
for target in "$@"; do
    limit=20000 all=60000
    case $target in unet | checkpoint) limit=30000 all=80000 ;; esac
    mkdir -p "$work/in" "$work/out" "$work/seeds" "$here/corpus/$target"
    find "$here/corpus/$target" -type f -name 'seed_*' -exec cp {} "$work/seeds/" \;
    for folder in "$build/corpus/$target" "$here/corpus/$target"; do
        [ ! -d "$folder" ] || find "$folder" -type f -size "-${limit}c" ! -name 'seed_*' \
            -exec cp {} "$work/in/" \;
    done
    # The control file lists each input with the numbers of the features that it reaches.
    "$build/fuzz_$target" -set_cover_merge=1 -max_len=$limit "-merge_control_file=$work/control" \
        "$work/out" "$work/seeds" "$work/in" > "$build/$target.merge.log" 2>&1
    find "$here/corpus/$target" -type f ! -name 'seed_*' -exec rm {} +
    seeds=$(find "$here/corpus/$target" -type f | wc -l)
    awk -v most=$((40 - seeds)) -v bytes=$all -f $here/choose.awk "$work/control" |
        while read -r file; do
            cp "$file" "$here/corpus/$target/$(sha1sum "$file" | cut -c1-16)"
        done
    echo "fuzz-merge: $target: $(find "$here/corpus/$target" -type f | wc -l) files," \
        "$(find "$here/corpus/$target" -type f -printf '%s\n' | awk '{ n += $1 } END { print n }')" \
        "bytes"
    rm -r "$work/in" "$work/out" "$work/seeds" "$work/control"
done
