#!/bin/sh
# SPDX-License-Identifier: MIT
# The figures of docs/few-steps.md: trains a teacher, distils it to half of the steps in each round,
# and measures the distance of the images to the data with and without distillation. From the root:
#   distillation.sh BUILD OUT [TRAIN_STEPS [ROUND_STEPS [COUNT [N...]]]]
# Each N is half of the one before. DATA=PATH replaces the generated 16x16 shapes, PRESET=NAME the
# network, FIRST=FILE the teacher's training by a network that predicts v or x_0. Networks that are
# in OUT already are kept and interrupted trainings resumed.
set -eu
if [ $# -lt 2 ]; then
    echo 'usage: distillation.sh BUILD OUT [TRAIN_STEPS [ROUND_STEPS [COUNT [N...]]]]' >&2
    exit 2
fi
build=$1
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

# train NAME STEPS TEACHER OPTION...: in a folder of its own until it is done.
train() {
    name=$1 total=$2 teacher=$3
    shift 3
    [ ! -s "$out/$name/checkpoint.safetensors" ] || return 0
    part=$out/$name-part
    if [ -s "$part/checkpoint.safetensors" ]; then
        set -- --resume "$part/checkpoint.safetensors"
    else
        set -- "$@" --batch 32 --ema-decay 0.999 --lr-steps "$total" --out "$part"
    fi
    [ -z "$teacher" ] || set -- "$@" --distill "$teacher"
    "$build/train_cifar10" --data "$data" --steps "$total" --sample-every 0 --save-every 500 \
        --threads "$threads" "$@"
    mv "$part" "$out/$name"
}

# measure NAME FILE N: a line "NAME N distance", once for a number of images.
measure() {
    grep -q "^$1 $3 " "$figures" && return 0
    rm -f "$out/row"
    "$build/distance" --model "$2" --data "$data" --count "$count" --threads "$threads" \
        --steps "$3" --table "$out/row" >/dev/null
    echo "$1 $3 $(tail -n 1 "$out/row" | cut -d, -f5)" >>"$figures"
}

figures=$out/figures-$count.txt
touch "$figures"
first=${FIRST:-$out/teacher/checkpoint.safetensors}
if [ -z "${FIRST:-}" ]; then
    # shellcheck disable=SC2086 # words
    train teacher "$steps" '' $size --preset "${PRESET:-tiny}" --prediction v --schedule cosine \
        --lr 1e-3 --lr-schedule cosine
fi
measure teacher "$first" 50
teacher=$first
for n in $numbers; do
    train "student-$n" "$round" "$teacher" --distill-steps "$n" --loss-weight truncated_snr \
        --lr 3e-4 --lr-schedule linear
    teacher=$out/student-$n/checkpoint.safetensors
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
