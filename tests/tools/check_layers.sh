#!/bin/sh
# SPDX-License-Identifier: MIT
# Includes never point upward: a file may include its own folder and folders of a lower rank.
# lib/ includes nothing of src/ and not the public header. Folders of src/ with the same rank do
# not include each other; those of lib/ may. Run from the repository root.
set -eu
bad=$(grep -rnE '^ *# *include +"' lib src --include='*.[ch]' | awk '
    BEGIN {
        n = split("base 0 io 1 tensor 1 kernels 2 autograd 3 layers 4 optim 5", pairs, " ")
        for (i = 1; i <= n; i += 2) lib[pairs[i]] = pairs[i + 1]
        n = split("core 0 diffusion 1 dataset 2 unet 2 train 3 sample 3 evaluate 3", pairs, " ")
        for (i = 1; i <= n; i += 2) src[pairs[i]] = pairs[i + 1]
    }
    {
        position = $0; sub(/: *# *include.*/, "", position)
        split(position, path, "/")
        target = $0; sub(/^[^"]*"/, "", target); sub(/".*/, "", target)
        split(target, folders, "/")
        from = path[2]; to = folders[1]
        if (path[1] == "lib" ? !(from in lib) : !(from in src)) why = "its folder has no rank"
        else if (target == "diffusion.h") why = path[1] == "lib" ? "lib includes the public header" : ""
        else if (target !~ /\//) why = "\"" target "\" names no folder"
        else if (path[1] == "lib") why = (to in lib) && lib[to] <= lib[from] ? "" : from " includes " target
        else if (to in lib) why = ""
        else why = from == to || ((to in src) && src[to] < src[from]) ? "" : from " includes " target
        if (why != "") print position ": " why
    }')
if [ -n "$bad" ]; then
    printf 'check_layers: an include points upward or sideways:\n%s\n' "$bad" >&2
    exit 1
fi
echo "check_layers: ok"
