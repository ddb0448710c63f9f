#!/bin/sh
# SPDX-License-Identifier: MIT
# Every source file names its licence in one of its first two lines. Run from the repository root.
set -eu
bad=$(find include lib src examples tests pkgconfig .ci Makefile -type f \
    \( -name '*.[ch]' -o -name '*.inc' -o -name '*.hpp' -o -name '*.cpp' -o -name '*.sh' \
    -o -name '*.mk' -o -name '*.py' -o -name '*.awk' -o -name '*.rs' -o -name '*.go' \
    -o -name Makefile -o -name run -o -name CMakeLists.txt \) \
    ! -path '*/tables/*' -exec sh -c '
        for file; do head -n 2 "$file" | grep -q "SPDX-License-Identifier: MIT" || echo "$file"; done
    ' sh {} +)
[ -z "$bad" ] || {
    printf 'check_licence: no SPDX-License-Identifier in:\n%s\n' "$bad" >&2
    exit 1
}
echo "check_licence: ok"
