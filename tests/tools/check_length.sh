#!/bin/sh
# SPDX-License-Identifier: MIT
# Lines of C and Python have at most 100 columns, and a C file at most 500 of them. The public
# header, which is the manual, may have more. Run from the repository root.
set -eu
LC_ALL=C; export LC_ALL
bad=$(find include lib src examples tests \( -name '*.[ch]' -o -name '*.py' \) -exec awk '
    function end() { if (lines > 500 && name !~ /^include\/|py$/) print name ": " lines " lines" }
    FNR == 1 { end(); name = FILENAME }
    { lines = FNR }
    { long = $0; gsub(/[\200-\277]/, "", long) } # bytes that continue a UTF-8 character
    length(long) > 100 { print FILENAME ":" FNR ": " length(long) " columns" }
    END { end() }' {} +)
if [ -n "$bad" ]; then
    printf 'check_length: over 500 lines or 100 columns:\n%s\n' "$bad" >&2
    exit 1
fi
echo "check_length: ok"
