#!/bin/sh
# SPDX-License-Identifier: MIT
# The public header compiles alone, without a warning, as C99 and as C++98.  header.sh CC CXX
set -eu
flags="-pedantic-errors -Wall -Wextra -Wpadded -Werror -fsyntax-only"
# The list of flags is meant to be split.
# shellcheck disable=SC2086
printf '#include "diffusion.h"\nint main(void) { return 0; }\n' | $1 -std=c99 $flags -Iinclude -x c -
if command -v "${2:-c++}" >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    printf '#include "diffusion.h"\nint main() { return 0; }\n' | $2 -std=c++98 $flags -Iinclude -x c++ -
    echo "header: ok as C99 and C++98"
else
    echo "header: ok as C99 (there is no C++ compiler)"
fi
