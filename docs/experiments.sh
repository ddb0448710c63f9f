#!/bin/sh
# SPDX-License-Identifier: MIT
# The experiments of docs/experiments.md: trains four networks on generated shapes, samples from them,
# and writes tables and images. From the root; about 70 minutes on two cores with 4000 steps.
#   experiments.sh BUILD OUT [STEPS [COUNT [REPEAT]]]
set -eu
if [ $# -lt 2 ]; then
    echo 'usage: experiments.sh BUILD OUT [STEPS [COUNT [REPEAT]]]' >&2
    exit 2
fi
build=$1
out=$2
steps=${3:-4000}
count=${4:-2048} # images of a distance
repeat=${5:-2} # repetitions of a distance
images=$out/images
mkdir -p "$images"

# Common to all: 16x16 images, a small network that predicts v, the same order of data and noise.
train() {
    name=$1
    shift
    [ -s "$out/$name/checkpoint.safetensors" ] ||
        "$build/train_cifar10" --size 16 --preset tiny --batch 64 --lr 1e-3 \
            --lr-schedule cosine --lr-steps "$steps" --ema-decay 0.999 \
            --steps "$steps" --sample-every 0 --save-every 0 --out "$out/$name" "$@"
    cp "$out/$name/loss.csv" "$images/$name.csv"
}
samples() {
    name=$1 file=$2
    shift 2
    "$build/sample" --model "$out/$name/checkpoint.safetensors" --out "$images/exp-$file.png" \
        --scale 3 --batch 64 "$@" >/dev/null
}
# A row of a table: the distance to the data, and its time.
distance() {
    name=$1 table=$2
    shift 2
    "$build/distance" --model "$out/$name/checkpoint.safetensors" --count "$count" \
        --repeat "$repeat" --table "$out/$table.csv" "$@"
}
bound() {
    "$build/evaluate" --model "$out/$1/checkpoint.safetensors" --count 256 --timesteps 0 \
        >"$out/bound-$1.txt"
}

# The network has attention at half the size and in the mid block; "plain" has none.
train cosine --schedule cosine
train linear --schedule linear
train plain --schedule cosine --attention 0,0,0 --mid-attention 0
train classes --schedule cosine --labels --label-dropout 0.1
rm -f "$out"/*.csv

# DDIM derives eps from the clipped x_0 everywhere, as it does by default with guidance.
ddim="--rederive-eps 1"
options_of() { [ "$1" != ddim ] || echo "$ddim"; }

# 1. Cosine against linear, at equal steps.
for schedule in cosine linear; do
    samples $schedule $schedule --count 32 --columns 16 --steps 50 $ddim
    distance $schedule schedules --solver ddim --steps 50 $ddim
    bound $schedule
done
distance cosine schedules --real

# 2. Attention on and off.
samples plain no-attention --count 32 --columns 16 --steps 50 $ddim
for network in cosine plain; do distance $network attention --solver ddim --steps 50 $ddim; done
bound plain

# 3. Classes with guidance: a row of eight images for each of the ten classes.
for guidance in 1 2 4; do
    samples classes guidance-$guidance --columns 8 --class rows --guidance $guidance \
        --solver dpmpp --steps 25
    distance classes guidance --solver dpmpp --steps 25 --guidance $guidance
done
# DDIM with guidance, with eps as predicted and with eps derived from the clipped x_0.
samples classes guidance-stale --columns 8 --class rows --guidance 4 --steps 50 --rederive-eps 0
samples classes guidance-ddim --columns 8 --class rows --guidance 4 --steps 50 --rederive-eps 1

# 4. Solvers and numbers of steps against DDPM at all of its 1000.
for n in 5 10 20 50 100; do
    for solver in ddim dpmpp unipc; do
        distance cosine solvers --solver $solver --steps $n $(options_of $solver)
    done
done
distance cosine solvers --solver ddpm --steps 1000 --repeat 1
distance cosine solvers --real
samples cosine ddpm --solver ddpm --steps 1000 --count 16 --columns 16
for solver in ddim dpmpp unipc; do
    for n in 5 10 20 50; do
        samples cosine $solver-$n --solver $solver --steps $n --count 16 --columns 16 \
            $(options_of $solver)
    done
done
echo "tables: $out/*.csv; images: $images"
