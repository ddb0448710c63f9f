#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints a compilation database (compile_commands.json) of what `make` would run for the given
# targets. Kernels have one entry for each instruction set.  compile_commands.sh target...
set -eu
"${MAKE:-make}" --no-print-directory --dry-run --always-make V=1 "$@" | awk -v folder="$PWD" '
    function json(text) { gsub(/\\/, "\\\\", text); gsub(/"/, "\\\"", text); return "\"" text "\"" }
    / -c [^ ]+\.c -o / {
        match($0, / -c [^ ]+\.c -o /)
        file = substr($0, RSTART + 4, RLENGTH - 8)
        printf "%s\n  {\"directory\": %s, \"file\": %s, \"command\": %s}", entries++ ? "," : "[",
               json(folder), json(file), json($0)
    }
    END { print entries ? "\n]" : "[]" }'
