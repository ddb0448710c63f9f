#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds and tests the binding with the library that is installed under PREFIX, and runs the
# walkthrough. Everything is built in WORK, an empty folder. From the repository's root:
#
#     sh examples/rust/check.sh PREFIX WORK
#
# $CARGO is the cargo to use; a rustc and a rustdoc beside it are used with it. Exit status 77: a
# tool is missing.
set -eu

prefix=$(cd "$1" && pwd)
work=$(cd "$2" && pwd)
folder=$(cd "$(dirname "$0")" && pwd)
cargo=${CARGO:-cargo}

missing() {
    echo "no $1"
    exit 77
}
# Runs a command; prints its output only if it fails.
quietly() {
    "$@" >"$work/log" 2>&1 || {
        status=$?
        cat "$work/log" >&2
        echo "check.sh: failed: $*" >&2
        exit "$status"
    }
}

command -v "$cargo" >/dev/null 2>&1 || missing cargo
case $cargo in
*/*)
    for tool in rustc rustdoc; do
        path=$(dirname "$cargo")/$tool
        variable=$(echo "$tool" | tr a-z A-Z)
        if [ -x "$path" ]; then export "$variable=$path"; fi
    done
    ;;
*) command -v rustc >/dev/null 2>&1 || missing rustc ;;
esac
command -v cc >/dev/null 2>&1 || missing "C compiler to link with"

export PKG_CONFIG_PATH="$prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
export LD_LIBRARY_PATH="$prefix/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export CARGO_TARGET_DIR="$work/target"
if ! command -v "${PKG_CONFIG:-pkg-config}" >/dev/null 2>&1; then
    export LIBRARY_PATH="$prefix/lib${LIBRARY_PATH:+:$LIBRARY_PATH}"
fi
cd "$folder"

# The committed declarations are those of this library.
if command -v python3 >/dev/null 2>&1; then
    mkdir "$work/generated"
    quietly python3 generate/sys.py "$prefix/include/diffusion_cdef.h" \
        "$work/generated/bindings.rs" "$work/generated/layout.rs"
    quietly python3 generate/safe.py "$prefix/lib/libdiffusion.so" "$work/generated/enums.rs" \
        "$work/generated/structs.rs"
    for file in diffusion-sys/src/bindings.rs diffusion-sys/tests/abi/layout.rs \
        diffusion/src/enums.rs diffusion/src/structs.rs; do
        quietly diff -u "$file" "$work/generated/$(basename "$file")"
    done
fi

options="--offline --locked --quiet"
quietly "$cargo" test $options --workspace
if [ "$cargo" = cargo ] && "$cargo" clippy --version >/dev/null 2>&1; then
    quietly "$cargo" clippy $options --workspace --all-targets -- -D warnings
fi
quietly "$cargo" build $options --examples
quietly "$work/target/debug/examples/walkthrough" "$work/walkthrough.safetensors" \
    "$work/walkthrough.png"
