#!/bin/sh
# SPDX-License-Identifier: MIT
# Replays the committed inputs of fuzz targets, and changed copies of them: replay.sh BUILD TARGET...
# from the repository root, two targets at a time. The numbers of copies are chosen for about one
# second each.
set -eu
if [ "$1" = --one ]; then
    build=$2 target=$3 here=tests/fuzz
    case $target in
        calls) copies=2000 ;;
        checkpoint | unet) copies=1000 ;;
        metadata) copies=700 ;;
        safetensors | options | config) copies=40000 ;;
        *) copies=5000 ;;
    esac
    result=$("$build/replay_$target" --mutations "$copies" --save "$build/$target.failed" \
        "$here/corpus/$target" "$here/reproducers/$target")
    echo "fuzz-replay: $target: $result"
    exit 0
fi
build=$1
shift
work=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
TMPDIR=$work; export TMPDIR
printf '%s\n' "$@" | xargs -P 2 -I TARGET sh "$0" --one "$build" TARGET
