#!/bin/sh
# No file of lib/ includes a higher floor, and none includes src/ or the public header. Run from the repository root.
set -eu
bad=$(grep -rnE '^#include "' lib | awk -F'[:"]' '
    BEGIN { n = split("base io tensor kernels autograd layers optim", names, " "); split("0 1 1 2 3 4 5", ranks, " ")
            for (i = 1; i <= n; i++) rank[names[i]] = ranks[i] }
    { split($1, path, "/"); split($4, target, "/")
      if (!($4 ~ /\//)) { print $1 ":" $2 ": \"" $4 "\" names no floor"; next }
      if (!(target[1] in rank) || rank[target[1]] > rank[path[2]]) print $1 ":" $2 ": " path[2] " includes " $4 }')
if [ -n "$bad" ]; then
    printf 'floors: an include goes up:\n%s\n' "$bad" >&2
    exit 1
fi
# What a library never does to its host.
never='abort|_?exit|_Exit|quick_exit|v?f?printf|f?put[sc]|putchar|perror|setlocale|(secure_)?getenv|signal|sigaction|fesetround|fesetenv|assert'
calls=$(grep -rnE "(^|[^_a-zA-Z])($never) *\(" lib src --include='*.[ch]' || true)
if [ -n "$calls" ]; then
    printf 'floors: a library must not call:\n%s\n' "$calls" >&2
    exit 1
fi
long=$(find lib src examples tests -name '*.[ch]' -exec wc -l {} + | awk '$2 != "total" && $1 > 560 { print "  " $1 " " $2 }')
if [ -n "$long" ]; then
    printf 'floors: over 500 lines, so not one idea:\n%s\n' "$long" >&2
    exit 1
fi
echo "floors: ok"
