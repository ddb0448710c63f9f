#!/bin/sh
# SPDX-License-Identifier: MIT
# The installed library and programs for Windows, under Wine: programs explain themselves; one
# trains, is resumed and is sampled from, in a folder whose name no code page of one byte has; small
# programs are built against the library with pkg-config and with CMake.
#   windows.sh CC BUILD
set -eu
export PKG_CONFIG_PATH=""
cc=$1 build=$2
work=$build/programs
usr=$work/usr
rm -rf "$work"
mkdir -p "$work"
fail() {
    echo "windows: $1" >&2
    exit 1
}
run() { "$@" >"$work/log" 2>&1 || fail "'$*' failed: $(cat "$work/log")"; }

run_make() {
    run ${MAKE:-make} CC="$cc" BLAS=none BUILD="$build" CFLAGS="-O2 -g" \
        PKG_CONFIG="pkg-config --static" PREFIX="$usr" "$@"
}

run_make install
for program in train-cifar10 sample evaluate distance; do
    run wine "$usr/bin/diffusion-$program.exe" --help
    grep -q -- '--help' "$work/log" || fail "$program does not tell its options"
done

folder="$work/日本 ü"
mkdir "$folder"
small="--channels 16,16 --groups 4 --blocks 1 --attention 0,0 --mid-attention 0 --batch 4"
rarely="--samples 4 --sample-steps 3 --sample-every 0 --save-every 0"
# The words of these variables are meant to be split.
# shellcheck disable=SC2086
for steps in 12 7; do
    run wine "$usr/bin/diffusion-train-cifar10.exe" --data builtin $small --lr 1e-3 $rarely \
        --steps $steps --out "$folder/$steps"
done
# shellcheck disable=SC2086
run wine "$usr/bin/diffusion-train-cifar10.exe" --data builtin --steps 12 $rarely \
    --resume "$folder/7/checkpoint.safetensors"
cmp "$folder/12/checkpoint.safetensors" "$folder/7/checkpoint.safetensors" ||
    fail "7 steps, a resume and 5 more differ from 12 steps"
grep -q 'data:image/png;base64,iVBOR' "$folder/12/report.html" || fail "the report has no samples"
run wine "$usr/bin/diffusion-sample.exe" --model "$folder/12/checkpoint.safetensors" --steps 5 \
    --count 4 --out "$folder/grid ü.png"
[ -s "$folder/grid ü.png" ] || fail "no grid was written"
if wine "$usr/bin/diffusion-sample.exe" --model "$folder/missing ü" >"$work/log" 2>&1; then
    fail "a missing file was accepted"
fi
grep -q 'missing ü' "$work/log" || fail "no name in the error: $(cat "$work/log")"

# ---- programs of others ----

packages=$usr/lib/pkgconfig:$PKG_CONFIG_LIBDIR
# The flags that pkg-config prints are meant to be split.
# shellcheck disable=SC2046
$cc tests/install/app.c $(PKG_CONFIG_LIBDIR=$packages pkg-config --cflags --libs diffusion) \
    -o "$usr/bin/app.exe"
run wine "$usr/bin/app.exe"
run cmake -S tests/install/cmake -B "$work/cmake" -DCMAKE_SYSTEM_NAME=Windows \
    -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$usr" \
    -DCMAKE_EXE_LINKER_FLAGS="-L$build/needed/lib -static"
run cmake --build "$work/cmake"
cp "$work/cmake/app-shared.exe" "$usr/bin"
run wine "$usr/bin/app-shared.exe"
run wine "$work/cmake/app-static.exe"
rm "$usr/bin/app.exe" "$usr/bin/app-shared.exe"
run_make uninstall
left=$(find "$usr" -mindepth 1 2>/dev/null || true)
[ -z "$left" ] || fail "uninstall leaves $left"
echo "windows: programs ok"
