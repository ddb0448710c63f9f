#!/bin/sh
# SPDX-License-Identifier: MIT
# Analyses one file with one tool; prints the findings and fails if there are any.
# analyse.sh TOOL COMMAND FOLDER FILE: TOOL is clang-tidy or gcc and COMMAND its program; FOLDER has
# the compilation database.
set -eu
tool=$1 command=$2 folder=$3 file=$4
fail() {
    printf '%s\n' "$1" | grep -v -E '^[0-9]+ warnings? (generated|treated)|^Suppressed ' >&2 || true
    exit 1
}
# Lets the analysers see that dmi_fail never returns 0: see lib/base/host.h.
define=-DDMI_ANALYSIS
if [ "$tool" = clang-tidy ]; then
    output=$("$command" --quiet -p "$folder" --extra-arg=$define \
        --extra-arg=-Wno-ignored-optimization-argument "$file" 2>&1) || fail "$output"
    exit 0
fi
# -O1 inlines the small functions, which takes paths away.
options="-O1 -fanalyzer -fdiagnostics-plain-output"
case $file in
lib/kernels/*)
    # gcc 12 compares the counts of shifts of vectors with the number of their elements. Loops that
    # are unrolled for vectors have so many paths that norm_backward.c would take 100 seconds.
    options="$options -Wno-analyzer-shift-count-overflow --param=analyzer-bb-explosion-factor=1"
    ;;
lib/autograd/ops/depthwise.c)
    # gcc 12 loses the members of a shape where it passes them one by one.
    options="$options -Wno-analyzer-use-of-uninitialized-value"
    ;;
examples/diffusion/data/listing.c)
    # Memory goes to the caller's list from within a recursion, where gcc 12 loses it.
    options="$options -Wno-analyzer-malloc-leak"
    ;;
lib/base/host.c)
    # It copies pointers as bytes, since their types differ, and gcc 12 loses them.
    options="$options -Wno-analyzer-malloc-leak"
    ;;
esac
flags=$(awk -v file="$file" 'index($0, "\"file\": \"" file "\"") {
    sub(/.*"command": "[^ ]+ /, ""); sub(/ -c .*/, "")
    print
    exit
}' "$folder/compile_commands.json")
# shellcheck disable=SC2086 # flags are words
output=$("$command" $flags $define $options -c "$file" -o /dev/null 2>&1) || fail "$output"
case $output in *-Wanalyzer*) fail "$output" ;; esac
