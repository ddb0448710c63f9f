#!/bin/sh
# SPDX-License-Identifier: MIT
# The installed library and program for Windows, under Wine: all commands, with data and results in
# folders whose names no code page of one byte has; small programs are built against the library
# with pkg-config and with CMake.
#   windows.sh CC BUILD
set -eu
export PKG_CONFIG_PATH=""
cc=$1 build=$2
work=$build/programs
usr=$work/usr
rm -rf "$work"
mkdir -p "$work"
fail() {
    printf 'windows: %s\n' "$1" >&2
    exit 1
}
run() { "$@" >"$work/log" 2>&1 || fail "'$*' failed: $(cat "$work/log")"; }

run_make() {
    run ${MAKE:-make} CC="$cc" BLAS=none BUILD="$build" CFLAGS="-O2 -g" \
        PKG_CONFIG="pkg-config --static" PREFIX="$usr" "$@"
}

run_make install
program=$usr/bin/diffusion.exe
printed() { grep -q -e "$1" "$work/log" || fail "no '$1' in: $(cat "$work/log")"; }
# wine_run COMMAND...: of the program; what it prints is in $work/log.
wine_run() { run wine "$program" "$@"; }
for command in demo sample train info evaluate distance convert distill; do
    wine_run "$command" --help
    printed "^Usage: diffusion $command "
done

folder="$work/日本 ü"
mkdir "$folder"
small="--channels 16,16 --groups 4 --blocks 1 --attention 0,0 --mid-attention 0 --batch 4"
rarely="--samples 4 --sample-steps 3 --sample-every 0 --save-every 0 --tensorboard"
# The words of these variables are meant to be split.
# shellcheck disable=SC2086
for steps in 12 7; do
    wine_run train builtin $small --lr 1e-3 $rarely --steps $steps --out "$folder/$steps"
done
# A drive and backslashes, as Windows writes paths.
backslashes=$(printf '%s' "Z:$folder" | tr / '\134')
wine_run train --resume "$backslashes\\7" --steps 12
cmp "$folder/12/checkpoint.safetensors" "$folder/7/checkpoint.safetensors" ||
    fail "7 steps, a resume and 5 more differ from 12 steps"
grep -q 'data:image/png;base64,iVBOR' "$folder/12/report.html" || fail "the report has no samples"
ls "$folder/7"/events.out.tfevents.* >/dev/null || fail "no events for TensorBoard"
wine_run sample "$folder/12" --steps 5 --count 6 --out "$folder/grid ü.png" --each "$folder/絵" \
    --npz "$folder/絵.npz"
[ -s "$folder/grid ü.png" ] || fail "no grid was written"
[ "$(head -c 2 "$folder/絵.npz")" = PK ] || fail "no NumPy file was written"
wine_run info "$folder/grid ü.png"
printed '^ *seed'
wine_run info --all "$folder/12"
printed '16,16'
wine_run evaluate "$folder/12" --count 2 --timesteps 2
wine_run distance "$folder/12" --count 4 --steps 2 --table "$folder/表.csv"
grep -q '^dpmpp,2,' "$folder/表.csv" || fail "distance writes no row: $(cat "$folder/表.csv")"
wine_run convert "$folder/12" "$folder/小.safetensors" --precision float16
wine_run info "$folder/小.safetensors"
wine_run convert "$folder/12" "$folder/小"
wine_run sample "$folder/小" --steps 2 --count 1 --out "$folder/小.png"
cp "$folder/12/checkpoint.safetensors" "$usr/share/diffusion/cifar10.safetensors"
wine_run sample --steps 2 --count 1 --out "$folder/installed.png"
if wine "$program" sample "$folder/missing ü" >"$work/log" 2>&1; then
    fail "a missing file was accepted"
fi
printed 'missing ü'

# ---- a folder of PNG and JPEG files ----

mkdir "$folder/絵/ネコ" "$folder/絵/犬"
mv "$folder/絵"/0000[0-3].png "$folder/絵/ネコ"
mv "$folder/絵"/*.png "$folder/絵/犬"
cp tests/program/data/smooth.jpg "$folder/絵/犬/ü.JPG"
cp tests/program/data/progressive.jpg "$folder/絵/ネコ/一.jpeg"
# shellcheck disable=SC2086
wine_run train --data "$backslashes\\絵" $small $rarely --steps 3 --timesteps 10 --size 16 \
    --out "$backslashes\\新\\run"
printed '^8 pictures as 16 x 16, in colour, in 2 classes by folder: ネコ, 犬$'
wine_run sample "$folder/新/run" --class ネコ --steps 2 --count 2 --out "$folder/ネコ.png"

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
