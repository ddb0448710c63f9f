#!/bin/sh
# SPDX-License-Identifier: MIT
# check.sh BUILD [OPTION...]: runs check_alloc of the build folder, with its options, in a temporary
# folder. Run from the repository root.
set -eu
build=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
# Without its cache of stacks glibc allocates in each pthread_create.
export GLIBC_TUNABLES=glibc.pthread.stack_cache_size=0
"$build/check_alloc" "$@" src/libdiffusion.map "$folder"
