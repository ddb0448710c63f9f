#!/bin/sh
# SPDX-License-Identifier: MIT
# The library calls nothing that prints, ends the process, reads the environment or changes the
# locale, signals or the floating-point mode; lib/base/float_mode.c alone may change the mode, which
# its callers restore. Run from the repository root.
set -eu
never='abort|_?exit|_Exit|quick_exit|v?f?printf|f?put[sc]|putchar|perror|setlocale|(secure_)?getenv'
never="$never|signal|sigaction|assert"
modes='fesetround|fesetenv|_mm_setcsr'
calls=$(
    grep -rnE "(^|[^_a-zA-Z])($never) *\(" lib src --include='*.[ch]' || true
    grep -rnE "(^|[^_a-zA-Z])($modes) *\(" lib src --include='*.[ch]' |
        grep -v '^lib/base/float_mode\.c:' || true
)
if [ -n "$calls" ]; then
    printf 'check_calls: the library must not call:\n%s\n' "$calls" >&2
    exit 1
fi
echo "check_calls: ok"
