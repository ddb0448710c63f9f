#!/bin/sh
# SPDX-License-Identifier: MIT
# Static analysis of lib, src and examples with clang-tidy, cppcheck and gcc -fanalyzer, none of
# which may have a finding. The checks of clang-tidy are in .clang-tidy, findings of cppcheck that
# are no mistakes in cppcheck.txt. Other versions of the tools have other findings, so the versions
# are fixed. A missing tool is left out, with CI=1 or STATIC_REQUIRED=1 it is an error.
# check_static.sh BUILD [FILE...]: only these files. Run from the repository root.
set -eu
build=$1
shift
here=tests/static
folder=$build/static
jobs=2
begin=$(date +%s)
mkdir -p "$folder"

# Kernels once, for the base instruction set; no generated files. Headers of packages are the
# system's.
sh tests/tools/compile_commands.sh all | grep -v -E -e '-DDMI_ISA=v[0-9]|/page\.c"' |
    sed -e 's, -I/, -isystem /,g' -e 's/ -MMD -MP / /' -e 's/ -O[0-9s] / /' -e 's/ -Werror / /' \
        > "$folder/compile_commands.json"
if [ $# -gt 0 ]; then
    printf '%s\n' "$@" > "$folder/files"
else
    # Kernels take longest, so they come first.
    sed -n 's/.*"file": "\([^"]*\)".*/\1/p' "$folder/compile_commands.json" | sort -u |
        awk '/^lib\/kernels/ { print; next } { rest = rest $0 "\n" } END { printf "%s", rest }' \
            > "$folder/files"
fi

failed= missing= said=
# version_of PROGRAM: the first number of its version.
version_of() { "$1" --version 2>/dev/null | sed -n '/[0-9]\./{s/.*[^0-9.]\([0-9]*\.[0-9.]*\).*/\1/p;q;}'; }
# find_tool TOOL VERSION PROGRAM...: sets `program` to the first of that version.
find_tool() {
    tool=$1 version=$2
    shift 2
    for program; do
        case $(version_of "$program"). in "$version".*) return 0 ;; esac
    done
    missing="$missing $tool-$version"
    said="$said, $tool left out, version $version not installed"
    return 1
}
# record TOOL STATUS
record() {
    if [ "$2" = 0 ]; then said="$said, $1 ok"; else failed="$failed, $1"; fi
}
each_file() {
    status=0
    xargs -P $jobs -n 1 sh $here/analyse.sh "$1" "$2" "$folder" < "$folder/files" || status=$?
}

if find_tool clang-tidy 14 clang-tidy-14 clang-tidy; then
    each_file clang-tidy "$program"
    record clang-tidy "$status"
fi
if find_tool cppcheck 2.10 cppcheck; then
    status=0
    set -- # --file-filter for each file
    while read -r file; do set -- "$@" "--file-filter=*$file"; done < "$folder/files"
    # cppcheck does not read <limits.h>, without which libpng refuses to be compiled.
    cppcheck -j $jobs --quiet --enable=warning,performance,portability --inline-suppr \
        --error-exitcode=1 --suppressions-list=$here/cppcheck.txt -D__CHAR_BIT__=8 \
        --project="$folder/compile_commands.json" "$@" >&2 || status=$?
    record cppcheck "$status"
fi
if find_tool gcc 12 gcc-12 gcc; then
    each_file gcc "$program"
    record "gcc -fanalyzer" "$status"
fi

summary="$(wc -l < "$folder/files") files, $(($(date +%s) - begin)) s"
if [ -n "$failed" ]; then
    echo "check-static: findings of ${failed#, }; ${said:+${said#, }, }$summary" >&2
    exit 1
fi
echo "check-static: ${said#, }, $summary"
if [ -n "$missing" ] && [ -n "${CI:-}${STATIC_REQUIRED:-}" ]; then
    echo "check-static: needs$missing" >&2
    exit 1
fi
