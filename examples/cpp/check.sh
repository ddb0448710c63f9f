#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the C++ walkthrough and tests against the library installed under PREFIX, with every
# compiler that is here, and runs them.  sh examples/cpp/check.sh PREFIX WORK
#
# WORK is an existing empty folder that receives everything, walkthrough.png included. Exit status:
# 0 good, 77 a tool is missing, otherwise what failed is on standard error.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: check.sh PREFIX WORK" >&2
    exit 2
fi
prefix=$(cd "$1" && pwd)
work=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
include=
[ -f "$prefix/include/diffusion.hpp" ] || include=$(cd "$here/../../include" && pwd)

for tool in g++ pkg-config; do
    if ! command -v $tool >/dev/null 2>&1; then
        echo "no $tool"
        exit 77
    fi
done
if ! printf '#include <doctest/doctest.h>\n' | g++ -E -x c++ - >/dev/null 2>&1; then
    echo "no doctest"
    exit 77
fi

PKG_CONFIG_PATH=$prefix/lib/pkgconfig
LD_LIBRARY_PATH=$prefix/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PKG_CONFIG_PATH LD_LIBRARY_PATH

log=$work/log
# Runs a command quietly; shows its output where it fails.
quiet() {
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        echo "check.sh: failed: $*" >&2
        exit 1
    fi
}

warnings="-Wall -Wextra -Wshadow -Wconversion -Werror"
flags="$warnings ${include:+-I$include} $(pkg-config --cflags diffusion | tr -d '"')"
libs="$(pkg-config --libs diffusion | tr -d '"') -pthread"
units="test_main test_layout test_errors test_callbacks test_training test_sampling test_lifetime"
units="$units test_conditions test_resuming"

# build COMPILER FOLDER FLAGS...: the tests as FOLDER/tests.
build() {
    compiler=$1 folder=$2
    shift 2
    mkdir -p "$folder"
    for unit in $units; do
        quiet "$compiler" -std=c++17 $flags "$@" -c "$here/$unit.cpp" -o "$folder/$unit.o"
    done
    quiet "$compiler" -std=c++17 $flags "$@" -fno-exceptions -c "$here/no_exceptions.cpp" \
        -o "$folder/no_exceptions.o"
    quiet "$compiler" "$@" "$folder"/*.o -o "$folder/tests" $libs
}

# The header alone: in C++17 and C++20, with and without exceptions, by each compiler.
for compiler in g++ clang++; do
    command -v $compiler >/dev/null 2>&1 || continue
    for standard in c++17 c++20; do
        quiet $compiler -std=$standard $flags -fsyntax-only "$here/walkthrough.cpp"
        quiet $compiler -std=$standard $flags -fno-exceptions -fsyntax-only \
            "$here/no_exceptions.cpp"
    done
done

cd "$work"
build g++ "$work/sanitized" -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
quiet "$work/sanitized/tests"
if command -v clang++ >/dev/null 2>&1; then
    for unit in $units; do
        quiet clang++ -std=c++17 $flags -fsyntax-only "$here/$unit.cpp"
    done
fi

if command -v cmake >/dev/null 2>&1; then
    quiet cmake -S "$here" -B "$work/cmake" -DCMAKE_CXX_COMPILER=g++ -DCMAKE_BUILD_TYPE=Debug \
        "-DCMAKE_CXX_FLAGS=$warnings" "-DDIFFUSION_HPP_DIR=$include"
    quiet cmake --build "$work/cmake"
    binaries=$work/cmake
else
    binaries=$work/plain
    build g++ "$binaries"
    quiet g++ -std=c++17 $flags "$here/walkthrough.cpp" -o "$binaries/walkthrough" $libs
fi
quiet "$binaries/tests"
quiet "$binaries/walkthrough" "$work/walkthrough.safetensors" "$work/walkthrough.png"
