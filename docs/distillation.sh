#!/bin/sh
# SPDX-License-Identifier: MIT
# The figures of docs/few-steps.md: trains a teacher, distils it to half of the steps in each round,
# and measures the distance of the images to the data with and without distillation. From the root:
#   distillation.sh BUILD OUT [TRAIN_STEPS [ROUND_STEPS [COUNT [N...]]]]
# Each N is half of the one before. DATA=PATH replaces the generated 16x16 shapes, PRESET=NAME the
# network, FIRST=MODEL the teacher's training by a network that predicts v or x_0. Networks that are
# in OUT already are kept and interrupted trainings resumed.
set -eu
if [ $# -lt 2 ]; then
    echo 'usage: distillation.sh BUILD OUT [TRAIN_STEPS [ROUND_STEPS [COUNT [N...]]]]' >&2
    exit 2
fi
diffusion=$1/diffusion
out=$2
steps=${3:-3000} # of the teacher's training
round=${4:-1000} # of each round
count=${5:-512}  # images of a distance
numbers='16 8 4 2 1'
if [ $# -gt 5 ]; then shift 5 && numbers=$*; fi
data=${DATA:-builtin}
threads=${THREADS:-0}
size=
[ "$data" != builtin ] || size='--size 16'
mkdir -p "$out"

# finish NAME STEPS COMMAND OPTION...: training in a folder of its own until it is done.
finish() {
    name=$1 total=$2
    shift 2
    [ ! -s "$out/$name/checkpoint.safetensors" ] || return 0
    part=$out/$name-part
    if [ ! -s "$part/checkpoint.safetensors" ]; then
        set -- "$@" --data "$data" --batch 32 --warmup 0 --ema-decay 0.999 --lr-steps "$total" \
            --sample-every 0 --save-every 500 --no-pictures --out "$part"
    elif [ "$1" = train ]; then
        set -- train --resume "$part"
    else
        set -- distill "$2" --resume "$part"
    fi
    "$diffusion" "$@" --steps "$total" --threads "$threads"
    mv "$part" "$out/$name"
}

# measure NAME MODEL N: a line "NAME N distance", once for a number of images.
measure() {
    ! grep -q "^$1 $3 " "$figures" || return 0
    rm -f "$out/row"
    "$diffusion" distance "$2" --data "$data" --count "$count" --threads "$threads" \
        --solver ddim --steps "$3" --guidance 1 --table "$out/row" >/dev/null
    echo "$1 $3 $(cut -d, -f5 "$out/row")" >>"$figures"
    rm "$out/row"
}

figures=$out/figures-$count.txt
touch "$figures"
first=${FIRST:-$out/teacher}
if [ -z "${FIRST:-}" ]; then
    # shellcheck disable=SC2086 # words
    finish teacher "$steps" train --no-labels $size --preset "${PRESET:-tiny}" --prediction v \
        --schedule cosine --lr 1e-3 --lr-schedule cosine
fi
measure teacher "$first" 50
teacher=$first
for n in $numbers; do
    finish "student-$n" "$round" distill "$teacher" --to "$n" --label-dropout 0 \
        --loss-weight truncated_snr --lr 3e-4 --lr-schedule linear
    teacher=$out/student-$n
    measure teacher "$first" "$n"
    measure student "$teacher" "$n"
done
awk '{ v[$1, $2] = $3; if (!($2 in seen)) { seen[$2] = 1; order[++k] = $2 } }
     END {
        print "| steps | teacher | distilled |"
        print "|---|---|---|"
        for (i = 1; i <= k; i++) {
            n = order[i]
            student = ("student", n) in v ? sprintf("%.1f", v["student", n]) : "-"
            printf "| %d | %.1f | %s |\n", n, v["teacher", n], student
        }
     }' "$figures"
