#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds and tests the examples in other languages against an installation of its own. Each must
# write the walkthrough's PNG, byte for byte as the C program does. A line for each; those whose tools
# are missing are left out.  bindings.sh BUILD [LANGUAGE...]
set -eu
build=$1
shift
[ $# -gt 0 ] || set -- cpp python rust go
work=$(cd "$build" && pwd)/tmp/bindings
rm -rf "$work"
mkdir -p "$work/c"
prefix=$work/prefix
${MAKE:-make} --no-print-directory BUILD="$build" LDCONFIG=true LIBDIR=lib \
    INCLUDEDIR=include PREFIX="$prefix" install-lib \
    >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
sum() { sha256sum "$1" | cut -d' ' -f1; }

"$build/walkthrough" "$work/c/model.safetensors" "$work/c/walkthrough.png" >"$work/c/output"
png=$(sum "$work/c/walkthrough.png")
echo "c: ok png=$png"
failed=
for language in "$@"; do
    mkdir "$work/$language"
    status=0
    sh "examples/$language/check.sh" "$prefix" "$work/$language" >"$work/$language.out" \
        2>"$work/$language.err" || status=$?
    if [ $status = 77 ]; then
        echo "$language: left out, $(tail -n 1 "$work/$language.out")"
        continue
    fi
    if [ $status != 0 ]; then
        cat "$work/$language.out" "$work/$language.err" >&2
        echo "$language: failed" >&2
        failed="$failed $language"
        continue
    fi
    got=$(sum "$work/$language/walkthrough.png")
    if [ "$got" != "$png" ]; then
        echo "$language: another picture: png=$got" >&2
        failed="$failed $language"
        continue
    fi
    echo "$language: ok png=$got"
done
[ -z "$failed" ] || { echo "check-bindings: failed:$failed" >&2; exit 1; }
