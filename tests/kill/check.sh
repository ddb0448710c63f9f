#!/bin/sh
# SPDX-License-Identifier: MIT
# check.sh BUILD [OPTION...]: runs check_kill of the build folder, with its options, in a temporary
# folder, which stays after a failure. Run from the repository root.
set -eu
build=$1
shift
folder=$(mktemp -d "${TMPDIR:-/tmp}/check_kill.XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
# Children of fork and the traced process have one thread.
export OPENBLAS_NUM_THREADS=1 BLIS_NUM_THREADS=1
status=0
"$build/check_kill" "$@" "$build" "$folder" || status=$?
if [ $status != 0 ]; then
    trap - EXIT
    echo "check-kill: the files are in $folder" >&2
fi
exit $status
