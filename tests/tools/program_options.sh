#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs every option of every command of the program at least once, and fails if the help lists one
# that no run used. What options do is tested elsewhere: here they must be taken and work together.
#   program_options.sh BUILD
set -eu
diffusion=$1/diffusion
out=$1/tmp/program_options
rm -rf "$out"
mkdir -p "$out"

fail() {
    echo "program_options: $1" >&2
    exit 1
}
# run COMMAND ARGUMENT...
run() {
    "$diffusion" "$@" >"$out/log.txt" 2>&1 || fail "'diffusion $*' failed: $(cat "$out/log.txt")"
    echo "$* " >>"$out/ran.txt"
}

# The words of these variables are meant to be split.
small="--channels 16,16 --groups 4 --blocks 1 --attention 0,0 --mid-attention 0"
quick="--batch 4 --steps 1 --samples 0 --force --no-pictures"
data="--data builtin --size 16"
grid="--out $out/grid.png --no-pictures"

# ---- models that the runs need ----

# shellcheck disable=SC2086
{
    run train $data $small $quick --out "$out/model"
    model=$out/model/checkpoint.safetensors
    run sample --model "$model" $grid --count 6 --steps 1 --each "$out/pictures"
    cp -R "$out/pictures" "$out/conditions"
    run train --data "$out/pictures" --condition "$out/conditions" --size 16 --crop random --grey \
        --background black --cache 1 --readers 1 $small $quick --out "$out/paired"
    run train $data $small $quick --prediction flow --schedule flow --flow-shift 2 \
        --timestep-sampling logit_normal --logit-mean 0.1 --logit-std 0.9 --out "$out/flow"
}

# ---- train, distill ----

# What every trainer takes.
trainer="--accumulation 2 --recompute blocks --seed 3 --optimizer adam --lr 1e-4 --warmup 2"
trainer="$trainer --compute bf16"
trainer="$trainer --lr-schedule cosine --lr-steps 9 --lr-final 0.1 --beta1 0.8 --beta2 0.99"
trainer="$trainer --adam-eps 1e-7 --weight-decay 0.01 --clip 2 --ema-decay 0,0.5 --ema-half-life 9"
trainer="$trainer --ema-rampup 0.1 --ema-warmup 0 --flip --crop-padding 1 --label-dropout 0.2"
# What every run takes.
run="--sample-steps 2 --sample-every 1 --save-every 1 --save-minutes 0 --threads 1 --profile"
run="$run --memory-limit 500 --tensorboard --evaluate-every 1 --evaluate-count 16"
# shellcheck disable=SC2086
{
    run train $data $small $quick $trainer $run --out "$out/a" --precision float32 \
        --schedule linear --beta-start 2e-4 --beta-end 0.03 --scale-betas --timesteps 50 \
        --zero-terminal-snr --loss-weight p2 --p2-k 2 --p2-gamma 0.5 --dropout 0.1 \
        --time scale_shift --time-channels 32 --frequency-shift 0 --cos-first --padding all \
        --norm-eps 1e-5 --head-size 8
    ls "$out/a"/events.out.tfevents.* >/dev/null || fail "--tensorboard writes nothing"
    grep -q '^1,[0-9.]*,[0-9.-]*,[01]' "$out/a/evaluation.csv" || fail "no evaluation"
    run train $data $small $quick --out "$out/b" --prediction eps --learned-variance \
        --loss hybrid --bound-lambda 0.01 --loss-weight min_snr --min-snr-gamma 4 \
        --timestep-sampling loss_aware --timesteps 20
    run train $data $small --batch 4 --samples 0 --epochs 0.0001 --out "$out/c" --no-labels \
        --schedule edm --prediction edm --sigma-data 0.6 --sigma-min 0.01 --sigma-max 50 --rho 5 \
        --time-scale 2 --timestep-sampling log_normal --log-sigma-mean -1 --log-sigma-std 1 \
        --self-conditioning --self-conditioning-rate 0.4
    run train $data $quick --preset tiny --channels 16,16 --groups 4 --recipe resnet,attention \
        --window 4 --loss pseudo_huber --huber-delta 0.2 --out "$out/d"
    run train --resume "$out/model" --steps 2 --lr 1e-5 --no-pictures
    run train $data --init "$model" $quick --out "$out/e"

    run distill "$model" --to 2 $data $quick $trainer $run --no-clip --out "$out/f"
    run distill "$model" --to 2 --resume "$out/f" --steps 2 --no-pictures
    run distill "$model" --to 2 $data --batch 4 --samples 0 --epochs 0.0001 --no-labels \
        --loss pseudo_huber --huber-delta 0.2 --loss-weight min_snr --min-snr-gamma 4 --out "$out/g"
    run distill "$model" --to 2 $data $quick --loss-weight p2 --p2-k 2 --p2-gamma 0.5 --out "$out/h"
    grey="--data $out/pictures --size 16 --crop random --grey --background black --cache 1"
    grey="$grey --readers 1"
    run train $grey $small $quick --out "$out/i"
    run distill "$out/i" --to 2 $grey $quick --out "$out/j"
}

# ---- sample, distance, evaluate ----

# What every sampler takes.
sampler="--solver ddim --spacing leading --eta 0.5 --rederive-eps 1 --guidance 2"
sampler="$sampler --guidance-rescale 0.7 --guidance-begin 0.1 --guidance-end 0.9 --threshold 0.99"
# shellcheck disable=SC2086
{
    run sample --model "$model" $grid --count 4 --steps 2 --class turn --columns 2 --scale 1 \
        --weights trained --threads 1 --seed 4 --random torch --batch 2 --no-clip --profile \
        --animation "$out/animation.png" --npz "$out/samples.npz" --tile both --each "$out/each" \
        --compute bf16
    run sample --model "$model" $grid --count 2 --steps 2 $sampler
    run sample --model "$model" $grid --count 2 --steps 2 --solver ddpm --variance fixed_small
    run sample --model "$model" $grid --count 2 --steps 3 --solver dpmpp --order 3 --grid karras
    run sample --model "$model" $grid --count 2 --steps 2 --solver euler --churn 5
    image="--image $out/each/00000.png"
    run sample --model "$model" $grid --count 2 --steps 4 $image --strength 0.5
    run sample --model "$model" $grid --count 2 --steps 4 $image --mask "$out/each/00001.png" \
        --repaint 2
    run sample --model "$model" $grid --count 2 --steps 4 $image --vary 0.2
    run sample --model "$model" $grid --count 2 --steps 4 --between 9
    run sample --model "$out/paired" $grid --count 2 --steps 2 --condition "$out/conditions"

    run train --data builtin-vector --size 16 $small $quick --out "$out/vectors"
    run sample --model "$out/vectors" $grid --count 2 --steps 2 --vector 0,0.5,-1,1,0,0

    few="--count 16 --steps 2"
    run distance --model "$model" $data $few --repeat 2 --table "$out/table.csv" --seed 3 \
        --weights trained --threads 1 --batch 8 --no-clip
    [ "$(grep -c '^dpmpp,2,2,' "$out/table.csv")" = 1 ] || fail "distance writes no row"
    run distance --model "$model" $data --count 16 --real
    run distance --model "$model" $data $few $sampler
    run distance --model "$model" $data $few --solver ddpm --variance fixed_small
    run distance --model "$model" $data $few --solver dpmpp --order 3 --grid karras
    run distance --model "$model" $data $few --solver euler --churn 5
    folder="--data $out/pictures --condition $out/conditions --size 16 --crop random --grey"
    folder="$folder --background black --cache 1 --readers 1"
    run distance --model "$out/paired" $folder $few
    run evaluate --model "$model" $data --first 1 --count 2 --timesteps 2 --variance fixed_small \
        --no-clip --seed 3 --batch 1 --weights trained --threads 1
    run evaluate --model "$out/paired" $folder --count 2 --timesteps 2
}

# ---- info, convert, demo ----

names=circle,square,triangle,star,ring,cross,heart,moon,diamond,arrow
# shellcheck disable=SC2086
{
    run info --all --tensors "$model"
    run convert "$model" "$out/half.safetensors" --precision bfloat16 --weights trained \
        --threads 1 --class-names $names
    run convert "$out/model" "$out/thresholded" --threshold 0.99
    run convert "$out/model" "$out/foreign" --steps 5 --solver ddim --eta 0.5 --spacing leading \
        --no-clip
    run convert "$out/foreign" "$out/own.safetensors" --height 32 --width 32 --prediction v
    run convert "$out/paired" "$out/paired-foreign" --solver ddpm --variance fixed_small
    run convert "$out/paired-foreign" "$out/paired.safetensors" --condition-channels 1
    run convert "$out/model" "$out/other" --solver dpmpp --spacing linspace --order 3 --grid karras
    run demo --minutes 0.01 --steps 1 --out "$out/demo" --seed 2 --threads 1 --no-pictures
}

# ---- what no run used ----

unused=
for command in demo sample train info evaluate distance convert distill; do
    for option in $("$diffusion" $command --help |
        sed -n 's/^  \(-.,\|   \) \(--[a-z0-9-]*\).*/\2/p'); do
        [ "$option" = --help ] || grep -q -e "^$command .*$option " "$out/ran.txt" ||
            unused="$unused $command$option"
    done
done
[ -z "$unused" ] || fail "no run uses$unused"
echo "program_options: ok"
