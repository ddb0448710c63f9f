#!/bin/sh
# SPDX-License-Identifier: MIT
# The experiments of docs/experiments.md: trains four networks on generated shapes, samples from
# them, and writes images and tables. From the root; some 80 minutes on two idle cores.
#   experiments.sh BUILD OUT [STEPS [COUNT [REPEAT]]]
# A distance is measured with REPEAT sets of COUNT samples, each with seeds of its own.
# SEEDS='0 1 2' trains each network with each of these seeds; then one set of samples of each is
# measured where networks are compared, and bounds are of 64 images instead of 256.
# THREADS=N limits the threads.
# Networks and figures that are in OUT already are kept, so that an interrupted run continues.
set -eu
if [ $# -lt 2 ]; then
    echo 'usage: experiments.sh BUILD OUT [STEPS [COUNT [REPEAT]]]' >&2
    exit 2
fi
diffusion=$1/diffusion
out=$2
steps=${3:-4000}
count=${4:-2048} # images of a distance
repeat=${5:-3}   # sets of them
seeds=${SEEDS:-0}
first=${seeds%% *} # of whose networks images are drawn and solvers compared
bounded=256 # images of a bound
sets=$repeat
case $seeds in *' '*) bounded=64 sets=1 ;; esac
[ "$count" -gt "$bounded" ] || bounded=$count
threads=${THREADS:-0}
images=$out/images
# Lines of experiment,row,seed and the row that `diffusion distance --table` appends.
distances=$out/distances-$count-$repeat.csv
bounds=$out/bounds-$bounded.csv # network,seed,bits,error,decoder,steps,error of v by quarters
mkdir -p "$images"
touch "$distances" "$bounds"

# Common to all: 16x16 images, a small network that predicts v, the same order of data and noise.
# Trains in a folder of its own until it is done.
train() {
    name=$1
    shift
    for seed in $seeds; do
        run=$out/$name-$seed
        [ ! -s "$run/checkpoint.safetensors" ] || continue
        if [ -s "$run-part/checkpoint.safetensors" ]; then
            "$diffusion" train --resume "$run-part" --steps "$steps" --threads "$threads"
        else
            "$diffusion" train --data builtin --size 16 --preset tiny --prediction v --batch 64 \
                --lr 1e-3 --warmup 0 --lr-schedule cosine --lr-steps "$steps" --ema-decay 0.999 \
                --steps "$steps" --sample-every 0 --seed "$seed" --threads "$threads" \
                --no-pictures --out "$run-part" "$@"
        fi
        mv "$run-part" "$run"
    done
}
samples() {
    name=$1 file=$2
    shift 2
    "$diffusion" sample "$out/$name-$first" --out "$images/exp-$file.png" --scale 3 --batch 64 \
        --threads "$threads" "$@" >/dev/null
}
# distance EXPERIMENT ROW NETWORK SEED OPTION...: to the data, with its time, unless it is known.
distance() {
    key=$1,$2,$4
    model=$out/$3-$4
    shift 4
    ! grep -q "^$key," "$distances" || return 0
    rm -f "$out/row"
    "$diffusion" distance "$model" --count "$count" --repeat "$repeat" --threads "$threads" \
        --table "$out/row" "$@"
    echo "$key,$(cat "$out/row")" >>"$distances"
    rm "$out/row"
}
# The bound of all timesteps, of images that were not trained on.
bound() {
    for seed in $seeds; do
        ! grep -q "^$1,$seed," "$bounds" || continue
        "$diffusion" evaluate "$out/$1-$seed" --count "$bounded" --timesteps 0 \
            --threads "$threads" >"$out/bound.txt"
        awk -v key="$1,$seed" '
            /^bits/ { printf "%s,%s,%s", key, $4, $6 + 0 }
            /^ +(decoder|steps) / { printf ",%s", $NF }
            /^ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+$/ { print "," $1 "," $2 "," $3 "," $4 }
        ' "$out/bound.txt" >>"$bounds"
        rm "$out/bound.txt"
    done
}

# The network has attention at half the size and in the mid block; "plain" has none.
train cosine --no-labels --schedule cosine
train linear --no-labels --schedule linear
train plain --no-labels --schedule cosine --attention 0,0,0 --mid-attention 0
train classes --label-dropout 0.1 --schedule cosine

# DDIM derives eps from the clipped x_0 everywhere, as it does by default with guidance.
options_of() {
    echo "--solver $1"
    [ "$1" != ddim ] || echo "--rederive-eps 1"
}
ddim=$(options_of ddim)
# The options in $ddim and of options_of are words.
# shellcheck disable=SC2046,SC2086
{
    # 1. Cosine against linear, at equal steps. 2. Attention on and off.
    for network in cosine linear; do
        samples $network $network --count 32 --columns 16 --steps 50 $ddim
        for seed in $seeds; do
            distance schedules $network $network "$seed" $ddim --steps 50 --repeat "$sets"
        done
    done
    distance schedules 'the data itself' cosine "$first" --real
    samples plain no-attention --count 32 --columns 16 --steps 50 $ddim
    for seed in $seeds; do
        if ! grep -q "^attention,with,$seed," "$distances"; then
            row=$(grep "^schedules,cosine,$seed," "$distances")
            echo "attention,with${row#schedules,cosine}" >>"$distances"
        fi
        distance attention without plain "$seed" $ddim --steps 50 --repeat "$sets"
    done
    for network in cosine linear plain; do bound $network; done

    # 3. Classes with guidance: a row of eight images for each of the ten classes.
    for guidance in 1 2 4; do
        samples classes guidance-$guidance --columns 8 --class rows --guidance $guidance \
            --solver dpmpp --steps 25
        for seed in $seeds; do
            distance guidance $guidance classes "$seed" --solver dpmpp --steps 25 \
                --guidance $guidance --repeat "$sets"
        done
    done
    # DDIM with guidance, with eps as predicted and with eps derived from the clipped x_0.
    guided="--columns 8 --class rows --guidance 4 --solver ddim --steps 50"
    samples classes guidance-stale $guided --rederive-eps 0
    samples classes guidance-ddim $guided --rederive-eps 1

    # 4. Solvers and numbers of steps against DDPM at all of its 1000.
    for n in 5 10 20 50 100; do
        for solver in ddim dpmpp unipc; do
            distance solvers "$solver $n" cosine "$first" $(options_of $solver) --steps $n
        done
    done
    distance solvers 'ddpm 1000' cosine "$first" --solver ddpm --steps 1000 --repeat 1
    distance solvers 'the data itself' cosine "$first" --real
    samples cosine ddpm --solver ddpm --steps 1000 --count 16 --columns 16
    for solver in ddim dpmpp unipc; do
        for n in 5 10 20 50; do
            samples cosine $solver-$n $(options_of $solver) --steps $n --count 16 --columns 16
        done
    done
}

# ---- tables ----

# Means over the seeds of training, and a deviation: of them, or of the sets of samples if there is
# only one.
functions='
    function add(row, column, x) { sum[row, column] += x; square[row, column] += x * x }
    function mean(row, column) { return sum[row, column] / n[row] }
    function spread(row, column,   v) {
        v = n[row] > 1 ? (square[row, column] - n[row] * mean(row, column) ^ 2) / (n[row] - 1) : 0
        return v > 0 ? sqrt(v) : 0
    }
    function count(row) { if (!(row in n)) order[++rows] = row; n[row]++ }'
distance_table() {
    awk -F, -v wanted="$1" "$functions"'
        $1 == wanted {
            count($2)
            add($2, "distance", $8)
            add($2, "deviation", $9)
            add($2, "kernel", 1000 * $10)
            add($2, "precision", $11)
            add($2, "recall", $12)
            add($2, "seconds", $7)
        }
        END {
            print "\n| " wanted " | distance | 1000 x kernel distance | precision | recall |" \
                " seconds |\n|---|---|---|---|---|---|"
            for (i = 1; i <= rows; i++) {
                r = order[i]
                d = n[r] > 1 ? spread(r, "distance") : mean(r, "deviation")
                plus_minus = d > 0 ? sprintf(" +- %.2f", d) : ""
                time = r ~ /data/ ? "" : sprintf(" %.1f", mean(r, "seconds"))
                printf "| %s | %.2f%s | %.2f | %.3f | %.3f |%s |\n", r, mean(r, "distance"),
                    plus_minus, mean(r, "kernel"), mean(r, "precision"), mean(r, "recall"), time
            }
        }' "$distances"
}
bound_table() {
    awk -F, "$functions"'
        { count($1); for (i = 3; i <= 10; i++) add($1, i, $i) }
        END {
            print "\n| network | bits per value | decoder and step terms | error of v by quarters" \
                " |\n|---|---|---|---|"
            for (i = 1; i <= rows; i++) {
                r = order[i]
                d = n[r] > 1 ? spread(r, 3) : mean(r, 4)
                printf "| %s | %.2f +- %.2f | %.2f, %.2f | %.3f, %.3f, %.3f, %.3f |\n", r,
                    mean(r, 3), d, mean(r, 5), mean(r, 6), mean(r, 7), mean(r, 8), mean(r, 9),
                    mean(r, 10)
            }
        }' "$bounds"
}
{
    printf '%s steps; %s sets of %s images; networks of seed %s\n' "$steps" "$repeat" "$count" \
        "$seeds"
    for experiment in schedules attention; do distance_table $experiment; done
    bound_table
    for experiment in guidance solvers; do distance_table $experiment; done
} >"$out/tables.md"
echo "tables: $out/tables.md; images: $images"
