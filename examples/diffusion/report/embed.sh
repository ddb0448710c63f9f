#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints text files as C strings: page.css becomes report_page_css, declared in report/page.h.
# embed.sh page.html page.css page_curves.js page.js > page.c
set -eu
LC_ALL=C; export LC_ALL
echo '/* Written by examples/diffusion/report/embed.sh. */'
echo '#include "report/page.h"'
for file in "$@"; do
    name=$(basename "$file" | tr . _)
    printf '\nconst char report_%s[] =\n' "$name"
    # Every "?" becomes "\?": two of them may begin a trigraph.
    awk '
    function escape(text,   i, c, result) {
        for (i = 1; i <= length(text); i++) {
            c = substr(text, i, 1)
            if (c == "\\" || c == "\"" || c == "?") result = result "\\"
            result = result c
        }
        return result
    }
    { print "    \"" escape($0) "\\n\"" }
    END { print (NR ? "    ;" : "    \"\";") }' "$file"
done
