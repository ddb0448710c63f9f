#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints Meson's wrap file for an archive of the sources.  write-wrap.sh VERSION ARCHIVE
set -eu
sum=$(sha256sum "$2" | cut -d' ' -f1)
sed -e "s|@VERSION@|$1|" -e "s|@SHA256@|$sum|" "$(dirname "$0")/meson/diffusion.wrap.in"
