#!/bin/sh
# The experiments of docs/experiments.md, one after another: trains four networks on built-in pictures, draws from them, and writes
# tables and pictures.  experiments.sh BUILD OUT [STEPS [COUNT [REPEAT]]]   (from the root; some 70 minutes on two cores with 4000 steps)
set -eu
build=$1
out=$2
steps=${3:-4000}
count=${4:-2048} # pictures of a distance
repeat=${5:-2} # distances of a row
images=$out/images
mkdir -p "$images"

# What all have in common: 16x16 pictures, a small network that predicts v, and the same order of data and noise.
train() {
    name=$1
    shift
    [ -s "$out/$name/checkpoint.safetensors" ] ||
        "$build/train_cifar10" --size 16 --preset tiny --prediction v --batch 64 --lr 1e-3 --decay cosine --decay-steps "$steps" \
            --average 0.999 --steps "$steps" --sample-every 0 --save-every 0 --out "$out/$name" "$@"
    cp "$out/$name/loss.csv" "$images/$name.csv"
}
draw() {
    name=$1 file=$2
    shift 2
    "$build/sample" --model "$out/$name/checkpoint.safetensors" --out "$images/exp-$file.png" --scale 3 --batch 64 "$@" >/dev/null
}
# A row of a table: distance to the data, with what it took.
distance() {
    name=$1 table=$2
    shift 2
    "$build/distance" --model "$out/$name/checkpoint.safetensors" --count "$count" --repeat "$repeat" --table "$out/$table.csv" "$@"
}
bound() {
    "$build/evaluate" --model "$out/$1/checkpoint.safetensors" --count 256 --timesteps 0 >"$out/bound-$1.txt"
}

# The network attends at half the size and in the middle; "plain" does not.
train cosine --schedule cosine
train linear --schedule linear
train plain --schedule cosine --attention 0,0,0 --mid-attention 0
train classes --schedule cosine --labels --label-dropout 0.1
rm -f "$out"/*.csv

# 1. Cosine against linear, at equal steps.
for schedule in cosine linear; do
    draw $schedule $schedule --count 32 --columns 16 --steps 50
    distance $schedule schedules --solver ddim --steps 50
    bound $schedule
done
distance cosine schedules --real

# 2. Attention on and off.
draw plain no-attention --count 32 --columns 16 --steps 50
for network in cosine plain; do distance $network attention --solver ddim --steps 50; done
bound plain

# 3. Classes with guidance: a row of eight pictures for each of the ten classes.
for guidance in 1 2 4; do
    draw classes guidance-$guidance --columns 8 --class rows --guidance $guidance --solver dpmpp --steps 25
    distance classes guidance --solver dpmpp --steps 25 --guidance $guidance
done
# What clipping does to DDIM where eps is not derived again from the clipped x_0.
draw classes guidance-stale --columns 8 --class rows --guidance 4 --steps 50 --stale-eps
draw classes guidance-ddim --columns 8 --class rows --guidance 4 --steps 50

# 4. Solvers and numbers of steps against DDPM at all of its 1000.
for steps_of_it in 5 10 20 50 100; do
    for solver in ddim dpmpp unipc; do
        distance cosine solvers --solver $solver --steps $steps_of_it
    done
done
distance cosine solvers --solver ddpm --steps 1000 --repeat 1
distance cosine solvers --real
draw cosine ddpm --solver ddpm --steps 1000 --count 16 --columns 16
for solver in ddim dpmpp unipc; do
    for steps_of_it in 5 10 20 50; do draw cosine $solver-$steps_of_it --solver $solver --steps $steps_of_it --count 16 --columns 16; done
done
echo "tables: $out/*.csv; pictures: $images"
