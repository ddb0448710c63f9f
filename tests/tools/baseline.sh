#!/bin/sh
# SPDX-License-Identifier: MIT
# The library uses no instruction above x86-64's baseline outside of the tables of kernels for v3
# and v4: it runs on any x86-64, and is fast where the processor allows it.
#   baseline.sh "CC CFLAGS" BUILD
set -eu
# The words of the compiler are meant to be split.
# shellcheck disable=SC2086
macros=$($1 -dM -E -x c /dev/null)
if ! echo "$macros" | grep -q __x86_64__ || echo "$macros" | grep -q __SSE3__; then
    echo "baseline: skipped, since the compiler does not target x86-64's baseline"
    exit 0
fi
# What v2 to v4 add: all of VEX and EVEX, and most of the others. XGETBV, and the functions of
# bf16_product.c, whose target is an attribute of theirs, are executed after a check of CPUID.
above=$(objdump -d --no-show-raw-insn "$2/libdiffusion.a" | awk '
    / file format / { member = $1; table = member ~ /(\.v[34]|bf16_product)\.o:$/; next }
    /^ .*:\t/ && ($2 ~ /^v/ || $2 ~ /^(andn$|bextr|bls|bzhi|[lt]zcnt|mulx|pdep|pext|rorx|s[ah][lr]x|movbe|popcnt|crc32|ptest|dpp)/ ||
                  $2 ~ /^(pshufb|palignr|pmulld|p?blend|round[ps]|p(ins|ext)r[bdq]|pmov[sz]x|p(min|max)(s[bd]|u[wd])|hadd|insertps)/) {
        if (table) seen = 1
        else if (!(member in first)) first[member] = $2
    }
    END { if (!seen) print "none in the tables of kernels either, so this script is blind"
          for (member in first) print member " " first[member] }')
if [ -n "$above" ]; then
    printf 'baseline: instructions above the baseline of x86-64:\n%s\n' "$above" >&2
    exit 1
fi
echo "baseline: ok"
