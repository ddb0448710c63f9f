#!/bin/sh
# SPDX-License-Identifier: MIT
# Trains the preset recipe_32 of docs/networks.md on CIFAR-10 and samples from it. From the root.
#   recipe.sh BUILD DATA OUT [STEPS [BATCH]]
set -eu
if [ $# -lt 3 ]; then
    echo 'usage: recipe.sh BUILD DATA OUT [STEPS [BATCH]]' >&2
    exit 2
fi
diffusion=$1/diffusion
data=$2
out=$3
steps=${4:-20000}
batch=${5:-32}

if [ -s "$out/checkpoint.safetensors" ]; then
    "$diffusion" train --resume "$out" --data "$data" --steps "$steps"
else
    # 0.001 ln 2 / 1000 of the bound; the network has a variance and predicts eps.
    "$diffusion" train --data "$data" --preset recipe_32 --prediction eps --schedule cosine \
        --label-dropout 0.2 --loss hybrid --bound-lambda 6.93e-7 --lr 3e-4 --warmup 0 \
        --adam-eps 1e-4 --weight-decay 0.01 --clip 0 --ema-decay 0 --batch "$batch" \
        --steps "$steps" --out "$out"
fi
for guidance in 1 2 4; do
    "$diffusion" sample "$out" --class rows --count 80 --solver ddim --steps 50 \
        --guidance "$guidance" --out "$out/guidance-$guidance.png"
done
