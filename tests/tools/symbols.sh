#!/bin/sh
# The shared library exports what tests/tools/symbols.txt lists and nothing else; the archive's global names begin with
# dm_ or dmi_; every function of the header is exported, and no other.  symbols.sh BUILD
set -eu
got=$(nm -D --defined-only "$1/libdiffusion.so" | awk '$2 ~ /[TDBRV]/ { sub(/@.*/, "", $3); print $3 }' | grep -v '^DIFFUSION_' | sort)
if ! printf '%s\n' "$got" | diff tests/tools/symbols.txt -; then
    echo "symbols: the exported names changed; where that is meant, write them to tests/tools/symbols.txt" >&2
    exit 1
fi
# A type of callbacks, (*dm_name)(...), has no parenthesis right behind its name.
if ! grep -oE '\bdm_[a-z0-9_]+\(' include/diffusion.h | tr -d '(' | sort -u | diff - tests/tools/symbols.txt; then
    echo "symbols: < is declared in the header, but not exported; > the other way round" >&2
    exit 1
fi
foreign=$(nm -g --defined-only "$1/libdiffusion.a" 2>/dev/null | awk 'NF == 3 && $3 !~ /^dmi?_/ { print $3 }')
if [ -n "$foreign" ]; then
    printf 'symbols: the archive has global names without prefix:\n%s\n' "$foreign" >&2
    exit 1
fi
echo "symbols: ok ($(printf '%s\n' "$got" | wc -l) exported)"
