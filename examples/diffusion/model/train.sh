#!/bin/sh
# SPDX-License-Identifier: MIT
# Trains the model that is installed with the program, cifar10.safetensors beside this file: the
# tiny preset on CIFAR-10, with what `diffusion train` does by default but for mirrored images and a
# slower EMA; at the end the rate falls to zero. Some hour and a half on two idle cores.
#   train.sh DIFFUSION CIFAR10 WORK
set -eu
if [ $# != 3 ]; then
    echo 'usage: train.sh DIFFUSION CIFAR10 WORK' >&2
    exit 2
fi
diffusion=$1 data=$2 work=$3
here=$(dirname "$0")
constant=4958 # steps at the full rate: there the run was stopped and resumed
all=16000
resumable=$work/run/checkpoint.safetensors

[ -e "$resumable" ] || "$diffusion" train "$data" --out "$work/run" --preset tiny --batch 64 \
    --lr 1e-3 --warmup 200 --flip --label-dropout 0.1 --ema-decay 0.9995 --samples 40 \
    --sample-every 2000 --steps $constant
"$diffusion" train --resume "$work/run" --lr-schedule linear --lr-steps $all --steps $all
"$diffusion" convert "$work/run" "$here/cifar10.safetensors" --precision float16
# The mean loss of each 500 steps.
awk -F, 'NR > 1 { sum += $2; if ($1 % 500 == 0) { printf "%d,%.5f,%g\n", $1, sum / 500, $4; sum = 0 } }
    BEGIN { print "step,mean_loss,learning_rate" }' "$work/run/loss.csv" >"$here/cifar10-log.csv"
