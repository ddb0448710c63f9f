#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints libabigail's description of the public interface of the shared library, which must have
# been compiled with -g. Types that the header does not define are dropped.  dump.sh BUILD
set -eu
abidw --exported-interfaces-only --headers-dir include --drop-private-types --no-show-locs \
    --no-corpus-path --no-comp-dir-path --no-elf-needed "$1/libdiffusion.so"
