#!/bin/sh
# SPDX-License-Identifier: MIT
# Renders the guide as a site by pandoc: OUT/index.html and a page for each page here.
#   site.sh OUT [SOURCE]
# Links out of the guide go to SOURCE, the address of the repository's files; without it, to the
# files of this checkout, by a relative path. The pages load nothing from elsewhere.
set -eu
guide=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { echo "usage: site.sh OUT [SOURCE]" >&2; exit 2; }
command -v pandoc >/dev/null || { echo "site: pandoc is missing (Debian: pandoc)" >&2; exit 1; }
mkdir -p "$1/images"
out=$(cd "$1" && pwd)
source=${2:-$(realpath --relative-to="$out" "$guide/../..")}
cp "$guide"/images/*.png "$out/images"
cp "$guide/style.css" "$out"

pages=index
for file in "$guide"/[0-9]*.md; do pages="$pages $(basename "$file" .md)"; done
title_of() { sed -n '/^# /{s/^# *//p;q;}' "$guide/$1.md"; }
# Metadata for the template: all pages, and the ones before and after this one.
metadata() {
    page=$1 previous='' found=''
    printf 'title: "%s"\n' "$(title_of "$page")"
    for other in $pages; do
        if [ "$found" ]; then
            printf 'next: {file: %s.html, title: "%s"}\n' "$other" "$(title_of "$other")"
            break
        fi
        if [ "$other" = "$page" ]; then
            found=1
            [ -z "$previous" ] || printf 'previous: {file: %s.html, title: "%s"}\n' "$previous" \
                "$(title_of "$previous")"
        fi
        previous=$other
    done
    echo 'pages:'
    for other in $pages; do
        printf -- '- {file: %s.html, title: "%s"' "$other" "$(title_of "$other")"
        [ "$other" != "$page" ] || printf ', current: true'
        echo '}'
    done
}
for page in $pages; do
    metadata "$page" >"$out/$page.yaml"
    # Comments are for the test. The page's title is in the template's own place.
    sed -e '/^<!-- .* -->$/d' -e '1{/^# /d}' -e 's|](\([0-9a-z-]*\)\.md|](\1.html|g' \
        -e "s|](\.\./\.\./|]($source/|g" -e "s|](\.\./|]($source/docs/|g" "$guide/$page.md" |
        pandoc --from gfm+tex_math_dollars --to html5 --mathml --toc --toc-depth=2 --standalone \
            --template "$guide/template.html" --metadata-file "$out/$page.yaml" \
            --output "$out/$page.html"
    rm "$out/$page.yaml"
done
echo "site: $out/index.html"
