#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the examples end to end on generated shapes: train, stop by a signal, resume, sample.
#   examples.sh BUILD
set -eu
build=$1
out=$build/tmp/examples
rm -rf "$out"
mkdir -p "$out"

fail() {
    echo "examples: $1" >&2
    exit 1
}
timeout_s=120
# Runs a command each second until it succeeds; fails after $timeout_s seconds.
wait_for() {
    for _ in $(seq $timeout_s); do
        if "$@"; then return 0; fi
        sleep 1
    done
    return 1
}
has_ended() { ! kill -0 "$1" 2>/dev/null; }
give_up() {
    kill -KILL "$pid" 2>/dev/null || true
    fail "train_cifar10: $1: $(cat "$out/parts.txt")"
}
is_png() {
    [ "$(od -An -tx1 -N8 "$1" | tr -d ' ')" = 89504e470d0a1a0a ] || fail "$1 is not a PNG"
}
# run NAME COMMAND...: the output goes to $out/NAME.txt.
run() {
    log=$out/$1.txt
    shift
    "$@" >"$log" 2>&1 || fail "'$*' failed: $(cat "$log")"
}
# The last run printed a line that matches.
printed() { grep -q -e "$1" "$log" || fail "no '$1' in $log: $(cat "$log")"; }

sample=$build/sample
train=$build/train_cifar10

run demo "$build/demo" --steps 3 --ddpm-steps 20 --out "$out/demo"
for name in data ddim ddpm denoising; do is_png "$out/demo/$name.png"; done
[ "$(wc -l <"$out/demo/loss.csv")" = 4 ] || fail "the demo's loss.csv does not have 3 steps"

# ---- training ----

small="--channels 16,16 --groups 4 --blocks 1 --attention 0,0 --mid-attention 0 --batch 4"
rarely="--samples 4 --sample-steps 3 --sample-every 0 --save-every 0"
tiny="--data builtin $small --lr 1e-3 $rarely"
# The words of these variables are meant to be split.
# shellcheck disable=SC2086
{
    run whole $train $tiny --steps 12 --out "$out/whole"
    # SIGTERM saves, and the run can be resumed. (sh starts background jobs with SIGINT ignored.)
    $train $tiny --steps 100000 --out "$out/parts" >"$out/parts.txt" 2>&1 &
    pid=$!
    # Not before the first step: until then a signal ends the program at once.
    wait_for grep -qs '^1,' "$out/parts/loss.csv" || give_up "no first step in $timeout_s s"
    kill -TERM $pid
    wait_for has_ended $pid || give_up "SIGTERM did not end it in $timeout_s s"
    wait $pid || fail "train_cifar10 did not stop cleanly: $(cat "$out/parts.txt")"
    [ -s "$out/parts/checkpoint.safetensors" ] || fail "SIGTERM saved nothing"
    run seven $train $tiny --steps 7 --out "$out/seven"
    run seven $train --data builtin --steps 12 $rarely --resume "$out/seven/checkpoint.safetensors"
}
whole=$out/whole/checkpoint.safetensors
seven=$out/seven/checkpoint.safetensors
cmp "$whole" "$seven" || fail "7 steps, a resume and 5 more differ from 12 steps"
[ "$(wc -l <"$out/seven/loss.csv")" = 13 ] || fail "loss.csv of the resumed run lacks steps"
grep -q '<svg' "$out/whole/report.html" || fail "report.html has no curve"
grep -q 'data:image/png;base64,iVBOR' "$out/whole/report.html" || fail "report.html has no samples"

# A folder of PNG files, whose folders are its classes; the steps of samples are limited to the
# number of timesteps unless they are given.
mkdir -p "$out/own/a" "$out/own/b" "$out/own/none"
run own $sample --model "$whole" --count 6 --steps 1 --out "$out/own.png" --each "$out/own/a"
cp "$out/own/a/0000"[012].png "$out/own/b"
# shellcheck disable=SC2086
run own $train --data "$out/own" $small --labels --label-dropout 0.1 --timesteps 10 --steps 2 \
    --samples 4 --out "$out/trained-own"
printed '^9 images of 32 x 32, in colour, in 2 classes'
own=$out/trained-own/checkpoint.safetensors
for class in rows turn none 1; do
    run class $sample --model "$own" --class $class --steps 2 --count 2 --out "$out/class.png"
done
run class $sample --model "$own" --between 9 --steps 2 --out "$out/class.png"
printed '^all of class 0'
run evaluate "$build/evaluate" --model "$own" --data "$out/own"

# Other images under the same count than those that were trained on.
rm "$out/own/b/00002.png"
cp "$out/own/a/00005.png" "$out/own/b/00002.png"
run other $train --data "$out/own" --steps 3 --samples 0 --resume "$own"
printed 'warning: .*another dataset'

# Flow and EDM with dropped labels and several EMAs, and a hybrid loss: trained, resumed, sampled.
flow="--schedule flow --prediction flow --timestep-sampling logit-normal --loss pseudo_huber"
flow="$flow --crop-padding 2 --ema-decay 0 --ema-half-life 20"
edm="--schedule edm --prediction edm --timestep-sampling log_normal --self-conditioning"
edm="$edm --optimizer adam --ema-decay 0.9999,0.5,0.9 --ema-warmup 0"
hybrid="--prediction eps --learned-variance --loss hybrid --loss-weight min_snr"
hybrid="$hybrid --timestep-sampling loss_aware --timesteps 20"
for kind in flow edm hybrid; do
    case $kind in flow) options=$flow ;; edm) options=$edm ;; *) options=$hybrid ;; esac
    # shellcheck disable=SC2086
    run $kind $train $tiny --labels --label-dropout 0.2 $options --steps 4 --out "$out/$kind"
    is_png "$out/$kind/samples-000004.png"
    run $kind $train --data builtin --steps 6 --samples 0 \
        --resume "$out/$kind/checkpoint.safetensors"
done
edm=$out/edm/checkpoint.safetensors
flow=$out/flow/checkpoint.safetensors
run rows $sample --model "$edm" --class -2 --columns 2 --steps 2 --out "$out/rows.png"
printed '^20 images'
for weights in trained ema ema_1 ema-2; do
    rm -f "$out/$weights.png"
    run weights $sample --model "$edm" --weights $weights --count 1 --steps 3 \
        --out "$out/$weights.png"
    is_png "$out/$weights.png"
done
! cmp -s "$out/ema_1.png" "$out/ema-2.png" || fail "the second and third EMA sample the same image"

# Guidance needs dropped labels: without them, a warning.
# shellcheck disable=SC2086
run labels $train $tiny --labels --steps 2 --out "$out/labels"
run guided $sample --model "$out/labels/checkpoint.safetensors" --guidance 2 --count 2 --steps 2 \
    --out "$out/guided.png"
printed '^sample: warning: .*label_dropout'
run guided $sample --model "$flow" --guidance 2 --count 2 --steps 2 --solver flow_euler \
    --out "$out/guided.png"
! grep -q warning "$log" || fail "guidance with dropped labels warns: $(cat "$log")"

# A preset of a paper keeps the paper's prediction and schedule; the default is v and cosine.
grep -q 'predicts v</td>' "$out/whole/report.html" || fail "the default is not to predict v"
grep -q '<td>cosine</td>' "$out/whole/report.html" || fail "the default schedule is not cosine"
# shellcheck disable=SC2086
run preset $train --preset ddpm-cifar10 $tiny --steps 1 --out "$out/preset"
grep -q 'predicts eps</td>' "$out/preset/report.html" || fail "ddpm_cifar10 does not predict eps"
grep -q '<td>linear</td>' "$out/preset/report.html" || fail "ddpm_cifar10 is not linear"

# ---- sampling ----

run sample $sample --model "$whole" --count 3 --steps 4 --out "$out/grid.png" \
    --animation "$out/run.png" --each "$out/each"
for file in grid run each/00000 each/00002; do is_png "$out/$file.png"; done
# Several numbers of steps are the runs with each of them, one after another.
run rows $sample --model "$whole" --count 2 --steps 3,4 --out "$out/rows.png" --each "$out/rows"
run rows $sample --model "$whole" --count 2 --steps 3 --out "$out/rows.png" --each "$out/row"
cmp "$out/rows/00001.png" "$out/row/00001.png" || fail "--steps 3,4 differs from --steps 3"
cmp "$out/rows/00003.png" "$out/each/00001.png" || fail "--steps 3,4 differs from --steps 4"
run grid262 $sample --model "$whole" --count 4 --steps 2 --out "$out/grid262.png"
# Every solver samples with its own spacing, grid and variance.
for solver in ddpm ddim pndm plms euler euler_ancestral heun dpm2 lms dpmpp dpmpp_single dpmpp_sde \
    unipc deis; do
    run solver $sample --model "$whole" --solver $solver --count 1 --steps 5 --out "$out/solver.png"
done
# The words of $options are meant to be split.
from="--image $out/each/00000.png"
for options in "--solver unipc --random torch" "--solver heun --grid karras --churn 5" \
    "--solver ddpm --variance fixed-small" "--eta 1 --rederive-eps 1 --spacing leading" \
    "$from --strength 0.5" "$from --vary 0.3" "--between 7" \
    "$from --mask $out/each/00001.png --solver ddpm --repaint 2" \
    "$from --mask $out/each/00001.png --repaint 30 --animation $out/repainted.png"; do
    rm -f "$out/options.png"
    # shellcheck disable=SC2086
    run options $sample --model "$whole" --count 2 --steps 4 --out "$out/options.png" $options
    is_png "$out/options.png"
done
is_png "$out/repainted.png"
run evaluate "$build/evaluate" --model "$whole" --count 2 --timesteps 2
printed '^bits per value'
run distance "$build/distance" --model "$whole" --count 4 --steps 2 --table "$out/distance.csv"
run distance "$build/distance" --model "$whole" --count 4 --steps 2 --repeat 2
printed 'standard deviation of 2'
grep -q '^ddim,2,' "$out/distance.csv" || fail "distance writes no row: $(cat "$out/distance.csv")"

# In steps, with the result of a run.
run step_loop "$build/step_loop" "$whole" "$out/steps.png"
printed '^19 steps left'
printed '^0 steps left'
run whole $sample --model "$whole" --seed 0 --count 4 --steps 20 --out "$out/in-one.png"
cmp "$out/steps.png" "$out/in-one.png" || fail "step_loop and sample differ"

# ---- guidance by callback ----

# Even of a network that has hardly learned anything, guidance changes the number as it should.
# improves NAME COMPARISON: of the last two numbers that a program prints.
improves() {
    run "$1" "$build/$1" "$whole" "$out/$1.png"
    is_png "$out/$1.png"
    awk '/without guidance/ { split($0, n, ": "); split(n[2], v, " "); a = v[1]; b = v[4]; found = 1 }
        END { exit !(found && a '"$2"' b) }' "$log" || fail "$1 does not improve: $(cat "$log")"
}
improves guided_classifier '<'
improves guided_reconstruction '>'
if "$build/guided_reconstruction" "$edm" "$out/bad.png" >/dev/null 2>&1; then
    fail "guided_reconstruction takes an EDM network"
fi

# ---- conditions ----

run super_resolution "$build/super_resolution" "$out/super-resolution.png" 2
printed 'error: 0\.[0-9]* enlarged, [0-9.]* sampled$'
is_png "$out/super-resolution.png"
run condition_vector "$build/condition_vector" "$out/condition-vector.png" 2
printed '^the shape moves from column'
is_png "$out/condition-vector.png"
if "$build/condition_vector" >/dev/null 2>&1; then fail "condition_vector needs no picture"; fi
# misused COMMAND...: exit status 2.
misused() {
    status=0
    "$@" >/dev/null 2>&1 || status=$?
    [ $status = 2 ] || fail "'$*' ends with $status, not 2"
}
for program in super_resolution condition_vector; do
    for steps in abc -5 ' 5' 5x '' 0 1000000001 18446744073709551617; do
        misused "$build/$program" "$out/bad.png" "$steps"
    done
done
for program in guided_classifier guided_reconstruction; do
    for weight in abc nan inf 1e999 ''; do
        misused "$build/$program" "$whole" "$out/bad.png" "$weight"
    done
done

# ---- help and errors ----

for program in demo train_cifar10 sample distance evaluate; do
    run help "$build/$program" --help
    printed default
    if "$build/$program" --no-such-option >/dev/null 2>&1; then
        fail "$program takes an option that it does not have"
    fi
done
run help $sample --help
printed '^  unipc  *the fewest steps'
printed '--solver=NAME'
run help $train --help
printed 'add, scale_shift, add_output'
# Words that cannot be given are not offered, and an empty list is none.
flat=$(tr -s ' \n' '  ' <"$log")
for words in 'of that name: eps, x0, v, flow, edm (default: v)' \
    'resnet,attention: resnet, convnext, class_attention, attention, channel_attention (default: none)'; do
    case $flat in *"$words"*) ;; *) fail "no '$words' in $log" ;; esac
done

# What cannot work is refused before training, with the option's name and value.
# refuses REGEX COMMAND...
refuses() {
    words=$1
    shift
    if "$@" >/dev/null 2>"$out/refused.txt"; then fail "'$*' was accepted"; fi
    grep -q -e "$words" "$out/refused.txt" ||
        fail "'$*' does not print '$words': $(cat "$out/refused.txt")"
    if grep -q training "$out/refused.txt"; then fail "'$*' trained first"; fi
}
one="--steps 1 --out $out/bad"
bad="--model $whole --out $out/bad.png"
# The words of $one and $bad are meant to be split.
# shellcheck disable=SC2086
{
    refuses '--ddpm-steps is 0' "$build/demo" --ddpm-steps 0 --out "$out/bad"
    refuses '--ddpm-steps is 1001' "$build/demo" --ddpm-steps 1001 --out "$out/bad"
    refuses '--threads is 999' "$build/demo" --threads 999 --out "$out/bad"

    # What a checkpoint holds cannot be given again; what it does not hold must be.
    for given in lr=1e-4 size=32 groups=4 loss=pseudo_huber rho=5 preset=tiny labels flip; do
        refuses "--${given%=*} cannot be combined with --resume.*leave it out" \
            $train --data builtin --steps 20 --$given --resume "$seven"
    done
    refuses '--resume needs --data' $train --steps 20 --resume "$seven"
    refuses '--resume needs .*--steps' $train --data builtin --resume "$seven"
    refuses 'has done 12 steps already' $train --data builtin --steps 11 --resume "$seven"

    refuses '--threads is 257' $train --threads 257 --out "$out/bad"
    refuses '--epochs is nan' $train --epochs nan --out "$out/bad"
    refuses '--epochs is inf' $train --epochs inf --out "$out/bad"
    refuses '--sample-steps is 50' $train --timesteps 20 --sample-steps 50 --out "$out/bad"
    refuses '--samples is 65537' $train --samples 65537 --out "$out/bad"
    refuses '--steps 3 cannot be combined with --epochs 2' $train --steps 3 --epochs 2
    refuses "'norm_groups' is 7" $train --groups 7 $one
    refuses "'ema_half_life.*9.*'ema_decay" $train --ema-half-life 9 $one
    refuses "'loss' .*hybrid.* cannot be combined.*'learned_variance' 0" $train --loss hybrid $one
    refuses "--ema-decay: .*'ema_decay' is .0.9,x" $train --ema-decay 0.9,x $one
    refuses "--loss: .*'loss' is .squares.*one of mse, pseudo_huber, hybrid" $train --loss squares $one
    refuses "--lr: .*'learning_rate' is -1" $train --lr=-1 $one
    for word in any consistency; do
        refuses "--prediction is '$word'; it must be one of eps, x0, v, flow, edm$" \
            $train --prediction $word $one
    done
    refuses "'prediction' is .foo.; it must be one of eps, x0, v, flow, edm, consistency$" \
        $train --prediction foo $one
    refuses "--preset is 'huge'; it must be one of tiny, small" $train --preset huge $one
    refuses '--huber-delta has no effect without --loss pseudo_huber' $train --huber-delta 1 $one
    refuses '--lr-steps has no effect without --lr-schedule' $train --lr-steps 9 $one
    refuses '--label-dropout has no effect without --labels' $train --label-dropout 0.1 $one
    refuses '--labels cannot be used with .* no labels' $train --labels --data "$out/each" $one
    refuses 'a folder of PNG files' $train --data "$out/absent" $one

    refuses absent.safetensors $sample --model "$out/absent.safetensors"
    refuses '--steps is .abc.; it must be a number' $sample --steps abc
    refuses '--steps is .4,.; it must be a number' $sample $bad --steps 4,
    refuses '--animation cannot be used with several' $sample $bad --steps 4,5 \
        --animation "$out/run.png"
    refuses "'steps' is 1001; .*'timesteps', 1000" $sample $bad --steps 1001
    refuses '--scale is 0' $sample $bad --scale 0
    refuses '--columns is -1' $sample $bad --columns -1
    refuses '--threads is -1' $sample $bad --threads -1
    refuses '--between is -3' $sample $bad --between=-3
    refuses "--strength: .*'strength' is 0" $sample $bad --image "$out/grid262.png" --strength 0
    refuses "--strength: .*'strength' is -1" $sample $bad --image "$out/grid262.png" --strength=-1
    refuses '--strength cannot be used without --image' $sample $bad --strength 0.5
    refuses '262 x 262 pixels' $sample $bad --image "$out/grid262.png" --strength 0.5
    refuses "--solver: .*'solver' is .foo" $sample $bad --solver foo
    refuses "--weights is 'average'; it must be one of default" $sample $bad --weights average
    refuses '--variance has no effect without --solver ddpm' $sample $bad --variance fixed_small
    refuses 'flow_euler.*schedule' $sample $bad --solver flow_euler
    refuses 'guidance.*classes' $sample $bad --guidance 2
    refuses '--class is -2.*no classes' $sample $bad --class -2
    refuses "must be a label, 'turn'" $sample --model "$flow" --class cat --out "$out/bad.png"
    refuses '--class is 10; .*10 classes, 0 to 9' $sample --model "$flow" --class 10 \
        --out "$out/bad.png"
    refuses 'must end in .png' $sample --model "$whole" --out "$out/bad.jpg"
    refuses 'its folder does not exist' $sample --model "$whole" --out "$out/absent/bad.png"
    refuses '--out and --animation are both' $sample $bad --animation "$out/bad.png"
    refuses 'name of a folder is empty' $sample $bad --each ''
    refuses "--timesteps: .*'timesteps' is -1" "$build/evaluate" --model "$whole" --timesteps=-1
}
[ ! -e "$out/bad" ] || fail "a run that was refused left its folder"
[ ! -e "$out/bad.png" ] || fail "a refused sample left its file"
echo "examples: ok"
