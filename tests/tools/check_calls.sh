#!/bin/sh
# The library calls nothing that prints, ends the process, reads the environment or changes the
# locale, signals or the floating-point mode. Run from the repository root.
set -eu
never='abort|_?exit|_Exit|quick_exit|v?f?printf|f?put[sc]|putchar|perror|setlocale|(secure_)?getenv'
never="$never|signal|sigaction|fesetround|fesetenv|assert"
calls=$(grep -rnE "(^|[^_a-zA-Z])($never) *\(" lib src --include='*.[ch]' || true)
if [ -n "$calls" ]; then
    printf 'check_calls: the library must not call:\n%s\n' "$calls" >&2
    exit 1
fi
echo "check_calls: ok"
