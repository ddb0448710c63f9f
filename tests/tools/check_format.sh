#!/bin/sh
# SPDX-License-Identifier: MIT
# All C files are formatted as .clang-format says; with --fix it formats them. CLANG_FORMAT names
# another program. Other versions of clang-format break some lines elsewhere, so the version is
# fixed. Run from the repository root.
set -eu
format=${CLANG_FORMAT:-clang-format}
version=14
if ! command -v "$format" >/dev/null 2>&1; then
    [ "${1:-}" = --fix ] && { echo "check_format: there is no clang-format" >&2; exit 1; }
    echo "check_format: left out, no clang-format"
    exit 0
fi
is=$("$format" --version | sed 's/.*version \([0-9]*\).*/\1/')
if [ "$is" != $version ]; then
    [ "${1:-}" = --fix ] && { echo "check_format: needs clang-format $version, this is $is" >&2; exit 1; }
    echo "check_format: left out, clang-format is version $is and not $version"
    exit 0
fi
if [ "${1:-}" = --fix ]; then
    find include lib src examples tests -name '*.[ch]' -exec "$format" -i {} +
    exit 0
fi
if ! find include lib src examples tests -name '*.[ch]' -exec "$format" --dry-run -Werror {} +; then
    echo "check_format: 'make format' formats these files" >&2
    exit 1
fi
echo "check_format: ok"
