#!/bin/sh
# Replays the committed inputs of fuzz targets, and changed copies of them: replay.sh BUILD TARGET...
# from the repository root. The number of copies is chosen for one second of one core each.
set -eu
build=$1
shift
here=tests/fuzz
work=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$work"' EXIT
TMPDIR=$work; export TMPDIR
copies() {
    case $1 in
        *) echo 1000 ;;
    esac
}
for target in "$@"; do
    result=$("$build/replay_$target" --mutations "$(copies "$target")" \
        --save "$build/$target.failed" "$here/corpus/$target" "$here/reproducers/$target")
    echo "fuzz-replay: $target: $result"
done
