#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds a program with CMake's package of the installed library, shared and static, after the
# installed tree was moved; versions that do not fit are refused.  cmake.sh PREFIX WORK
set -eu
command -v cmake >/dev/null || { echo "install: cmake: left out, no cmake"; exit 0; }
work=$2/cmake
rm -rf "$work"
mkdir -p "$work"
cp -R "$1" "$work/moved usr"
log=$work/log
show() { cat "$log" >&2; exit 1; }
export CMAKE_PREFIX_PATH="$work/moved usr"
cmake -S tests/install/cmake -B "$work/build" >"$log" 2>&1 || show
cmake --build "$work/build" >"$log" 2>&1 || show
for program in app-shared app-static; do
    "$work/build/$program" >"$log" 2>&1 || show
done
readelf -d "$work/build/app-static" | grep -q 'NEEDED.*libdiffusion' && {
    echo "install: cmake: the static program needs the shared library" >&2
    exit 1
}
for version in 0.10 0.8 1.0 99; do
    mkdir "$work/version-$version"
    sed "s/diffusion 0.9/diffusion $version/" tests/install/cmake/CMakeLists.txt \
        >"$work/version-$version/CMakeLists.txt"
    if cmake -S "$work/version-$version" -B "$work/version-$version/b" >"$log" 2>&1; then
        echo "install: cmake: version $version was accepted" >&2
        exit 1
    fi
    grep -q 'compatible with requested' "$log" || show
done
echo "install: cmake: ok"
