#!/bin/sh
# The examples run end to end on built-in pictures: train, stop by Ctrl-C, go on, sample.  examples.sh BUILD
set -eu
build=$1
out=$build/tmp/examples
rm -rf "$out"
mkdir -p "$out"

fail() {
    echo "examples: $1" >&2
    exit 1
}
patience=120
# Runs a command each second until it succeeds; fails where it never does.
wait_for() {
    for _ in $(seq $patience); do
        if "$@"; then return 0; fi
        sleep 1
    done
    return 1
}
is_gone() { ! kill -0 "$1" 2>/dev/null; }
give_up() {
    kill -KILL "$pid" 2>/dev/null || true
    fail "train_cifar10: $1: $(cat "$out/parts.txt")"
}
is_png() { [ "$(od -An -tx1 -N8 "$1" | tr -d ' ')" = 89504e470d0a1a0a ] || fail "$1 is no PNG"; }

"$build/demo" --steps 3 --ddpm-steps 20 --out "$out/demo" >"$out/demo.txt" 2>&1 || fail "demo failed: $(cat "$out/demo.txt")"
for name in data ddim ddpm denoising; do is_png "$out/demo/$name.png"; done

train="$build/train_cifar10 --data builtin --channels 16,16 --groups 4 --blocks 1 --attention 0,0 --mid-attention 0 --batch 4"
train="$train --lr 1e-3 --samples 4 --sample-steps 3 --sample-every 0 --save-every 0"
# The words of $train are meant to be split.
# shellcheck disable=SC2086
{
    $train --steps 12 --out "$out/whole" >"$out/whole.txt" 2>&1 || fail "train_cifar10 failed: $(cat "$out/whole.txt")"
    # A Ctrl-C saves; what goes on from there ends in the same file.
    $train --steps 100000 --out "$out/parts" >"$out/parts.txt" 2>&1 &
    pid=$!
    # Not before the first step: until then Ctrl-C ends the program at once, and a shell starts what is in the background deaf to it.
    wait_for grep -qs '^1,' "$out/parts/loss.csv" || give_up "no first step within $patience s"
    kill -INT $pid
    wait_for is_gone $pid || give_up "Ctrl-C did not end it within $patience s"
    wait $pid || fail "train_cifar10 did not stop cleanly: $(cat "$out/parts.txt")"
    [ -s "$out/parts/checkpoint.safetensors" ] || fail "Ctrl-C saved nothing"
    $train --steps 7 --out "$out/seven" >/dev/null 2>&1
    "$build/train_cifar10" --data builtin --steps 12 --samples 4 --sample-steps 3 --sample-every 0 --save-every 0 \
        --resume "$out/seven/checkpoint.safetensors" >"$out/seven.txt" 2>&1 ||
        fail "--resume failed: $(cat "$out/seven.txt")"
}
# A folder of PNGs, of folders that are its classes; and more timesteps for samples than there are, unless they are asked for.
mkdir -p "$out/own/a" "$out/own/b" "$out/own/none"
"$build/sample" --model "$out/whole/checkpoint.safetensors" --count 6 --steps 1 --out "$out/own.png" --each "$out/own/a" >/dev/null 2>&1
cp "$out/own/a/0000"[012].png "$out/own/b"
own="--data $out/own --channels 16,16 --groups 4 --blocks 1 --attention 0,0 --mid-attention 0 --batch 4 --labels --label-dropout 0.1"
# shellcheck disable=SC2086
"$build/train_cifar10" $own --timesteps 10 --steps 2 --samples 4 --out "$out/trained-own" >"$out/own.txt" 2>&1 ||
    fail "train_cifar10 on a folder of PNGs failed: $(cat "$out/own.txt")"
grep -q '^9 pictures of 32 x 32, in colour, in 2 classes' "$out/own.txt" || fail "the folder's pictures are not all read: $(cat "$out/own.txt")"
for class in rows turn none 1; do
    "$build/sample" --model "$out/trained-own/checkpoint.safetensors" --class $class --steps 2 --count 2 --out "$out/class.png" >"$out/own.txt" 2>&1 ||
        fail "sample --class $class failed: $(cat "$out/own.txt")"
done
"$build/sample" --model "$out/trained-own/checkpoint.safetensors" --between 9 --steps 2 --out "$out/class.png" >"$out/own.txt" 2>&1 &&
    grep -q '^all of class 0' "$out/own.txt" || fail "sample --between changes classes: $(cat "$out/own.txt")"
"$build/evaluate" --model "$out/trained-own/checkpoint.safetensors" --data "$out/own" >"$out/own.txt" 2>&1 || fail "evaluate --data of PNGs failed: $(cat "$out/own.txt")"
# Flow and EDM, labels that are dropped, several averages; and a hybrid loss: trained, resumed and sampled with each average.
other="$train --sample-steps 3 --labels --label-dropout 0.2"
flow="--schedule flow --prediction flow --timestep-sampling logit-normal --loss huber --crop-padding 2 --average 0 --average-half-life 20"
edm="--schedule edm --prediction edm --timestep-sampling log-normal --self-conditioning --optimizer adam --more-decays 0.5,0.9"
hybrid="--learned-variance --loss hybrid --loss-weight min-snr --timestep-sampling loss-aware --timesteps 20"
for kind in flow edm hybrid; do
    case $kind in flow) options=$flow ;; edm) options=$edm ;; *) options=$hybrid ;; esac
    # shellcheck disable=SC2086
    $other $options --steps 4 --out "$out/$kind" >"$out/$kind.txt" 2>&1 || fail "train_cifar10 $options failed: $(cat "$out/$kind.txt")"
    is_png "$out/$kind/samples-000004.png"
    "$build/train_cifar10" --data builtin --steps 6 --samples 0 --resume "$out/$kind/checkpoint.safetensors" >"$out/$kind.txt" 2>&1 ||
        fail "--resume of $kind failed: $(cat "$out/$kind.txt")"
done
"$build/sample" --model "$out/edm/checkpoint.safetensors" --class -2 --columns 2 --steps 2 --out "$out/rows.png" >"$out/rows.txt" 2>&1 ||
    fail "sample --class -2 failed: $(cat "$out/rows.txt")"
grep -q '^20 pictures' "$out/rows.txt" || fail "--class -2 --columns 2 is not two of each of ten classes: $(cat "$out/rows.txt")"
"$build/sample" --model "$out/edm/checkpoint.safetensors" --weights average-2 --count 1 --steps 3 --out "$out/second.png" >"$out/second.txt" 2>&1 ||
    fail "sample --weights average-2 failed: $(cat "$out/second.txt")"
is_png "$out/second.png"

# What a checkpoint brings can't be given again, what it does not hold must be, and steps that are done are not done again.
for wrong in "--steps 20" "--data builtin" "--data builtin --steps 20 --lr 1e-4" "--data builtin --steps 20 --size 32" "--data builtin --steps 20 --groups 4" "--data builtin --steps 20 --loss huber" "--data builtin --steps 20 --rho 5" "--data builtin --steps 12"; do
    # shellcheck disable=SC2086
    if "$build/train_cifar10" $wrong --resume "$out/seven/checkpoint.safetensors" >"$out/wrong.txt" 2>&1; then fail "--resume was taken with $wrong"; fi
    grep -q -e --steps -e 'leave it out' "$out/wrong.txt" || fail "--resume with $wrong is not told: $(cat "$out/wrong.txt")"
done
cmp "$out/whole/checkpoint.safetensors" "$out/seven/checkpoint.safetensors" || fail "7 steps, a resume and 5 more are not 12 steps"
[ "$(wc -l <"$out/seven/loss.csv")" = 13 ] || fail "loss.csv of the resumed run does not have 12 steps"
grep -q '<svg' "$out/whole/report.html" || fail "report.html has no curve"
grep -q 'data:image/png;base64,iVBOR' "$out/whole/report.html" || fail "report.html has no samples"

"$build/sample" --model "$out/whole/checkpoint.safetensors" --count 3 --steps 4 --out "$out/grid.png" --animation "$out/run.png" \
    --each "$out/each" >"$out/sample.txt" 2>&1 || fail "sample failed: $(cat "$out/sample.txt")"
for file in grid run each/00000 each/00002; do is_png "$out/$file.png"; done

"$build/sample" --model "$out/whole/checkpoint.safetensors" --count 4 --steps 2 --out "$out/grid262.png" >/dev/null 2>&1
# Steering: each writes a grid. The words of $way are meant to be split.
from="--image $out/each/00000.png"
for way in "--solver unipc --random torch" "--solver heun --grid karras --churn 5" "$from --strength 0.5" "$from --vary 0.3" "--between 7" \
    "$from --mask $out/each/00001.png --solver ddpm --repaint 2" \
    "$from --mask $out/each/00001.png --repaint 30 --animation $out/steered-run.png"; do
    rm -f "$out/steered.png"
    # shellcheck disable=SC2086
    "$build/sample" --model "$out/whole/checkpoint.safetensors" --count 2 --steps 4 --out "$out/steered.png" $way >"$out/sample.txt" 2>&1 ||
        fail "sample $way failed: $(cat "$out/sample.txt")"
    is_png "$out/steered.png"
done
"$build/sample" --help | grep -q '^  unipc  *the fewest steps' || fail "sample --help does not say when to use which solver"
"$build/evaluate" --model "$out/whole/checkpoint.safetensors" --count 2 --timesteps 2 >"$out/evaluate.txt" 2>&1 || fail "evaluate failed: $(cat "$out/evaluate.txt")"
grep -q '^bits a value' "$out/evaluate.txt" || fail "evaluate tells no bits: $(cat "$out/evaluate.txt")"
"$build/distance" --model "$out/whole/checkpoint.safetensors" --count 4 --steps 2 --table "$out/distance.csv" >"$out/distance.txt" 2>&1 ||
    fail "distance failed: $(cat "$out/distance.txt")"
"$build/distance" --model "$out/whole/checkpoint.safetensors" --count 4 --steps 2 --repeat 2 >"$out/distance.txt" 2>&1 ||
    fail "distance --repeat failed: $(cat "$out/distance.txt")"
grep -q 'one draw, of 2' "$out/distance.txt" || fail "distance --repeat tells no spread: $(cat "$out/distance.txt")"
grep -q '^ddim,2,' "$out/distance.csv" || fail "distance writes no row: $(cat "$out/distance.csv")"

for program in demo train_cifar10 sample distance evaluate; do
    "$build/$program" --help | grep -q default || fail "$program --help tells no defaults"
    if "$build/$program" --no-such-option >/dev/null 2>&1; then fail "$program takes an option that it does not have"; fi
done
if "$build/sample" --model "$out/absent.safetensors" 2>"$out/absent.txt"; then fail "sample takes a file that is not there"; fi
grep -q absent.safetensors "$out/absent.txt" || fail "sample does not name the file that is not there"
if "$build/train_cifar10" --groups 7 --steps 1 --out "$out/bad" 2>"$out/bad.txt"; then fail "7 groups of 64 channels were taken"; fi
grep -q "norm_groups.*7" "$out/bad.txt" || fail "the message does not name the group count: $(cat "$out/bad.txt")"

# What cannot work is refused before anything is computed, with the option's name and value.
refuses() {
    words=$1
    shift
    if "$@" >/dev/null 2>"$out/refused.txt"; then fail "'$*' was taken"; fi
    grep -q -e "$words" "$out/refused.txt" || fail "'$*' does not say '$words': $(cat "$out/refused.txt")"
    if grep -q training "$out/refused.txt"; then fail "'$*' trained first"; fi
}
refuses '--ddpm-steps is 0' "$build/demo" --ddpm-steps 0 --out "$out/bad"
refuses '--ddpm-steps is 1001' "$build/demo" --ddpm-steps 1001 --out "$out/bad"
refuses '--threads is 999' "$build/demo" --threads 999 --out "$out/bad"
refuses '--threads is 257' "$build/train_cifar10" --threads 257 --out "$out/bad"
refuses '--epochs is nan' "$build/train_cifar10" --epochs nan --out "$out/bad"
refuses '--epochs is inf' "$build/train_cifar10" --epochs inf --out "$out/bad"
refuses '--sample-steps is 50' "$build/train_cifar10" --timesteps 20 --sample-steps 50 --out "$out/bad"
refuses "'average_half_life' 9 and 'average_decay' 0.9999" "$build/train_cifar10" --average-half-life 9 --steps 1 --out "$out/bad"
refuses "'loss' 2 (hybrid) and the network's 'learned_variance' 0" "$build/train_cifar10" --loss hybrid --steps 1 --out "$out/bad"
refuses "--more-decays is '0.9,x'" "$build/train_cifar10" --more-decays 0.9,x --steps 1 --out "$out/bad"
refuses '--samples is 65537' "$build/train_cifar10" --samples 65537 --out "$out/bad"
refuses 'guidance.*no classes' "$build/sample" --model "$out/whole/checkpoint.safetensors" --guidance 2 --out "$out/bad.png"
refuses 'class -2.*no classes' "$build/sample" --model "$out/whole/checkpoint.safetensors" --class -2 --out "$out/bad.png"
refuses 'strength.*no --image' "$build/sample" --model "$out/whole/checkpoint.safetensors" --strength 0.5 --out "$out/bad.png"
refuses 'flow_euler.*flow schedule' "$build/sample" --model "$out/whole/checkpoint.safetensors" --solver flow_euler --out "$out/bad.png"
refuses '262 x 262 pixels' "$build/sample" --model "$out/whole/checkpoint.safetensors" --image "$out/grid262.png" --strength 0.5 --out "$out/bad.png"
refuses "'steps' 1001 and the schedule's 'timesteps' 1000" "$build/sample" --model "$out/whole/checkpoint.safetensors" --steps 1001 --out "$out/bad.png"
refuses '--steps 3 and --epochs 2' "$build/train_cifar10" --steps 3 --epochs 2 --out "$out/bad"
refuses '--steps abc' "$build/sample" --steps abc
refuses "sample: --solver is 'foo'" "$build/sample" --model "$out/whole/checkpoint.safetensors" --solver foo
refuses 'must end in .png' "$build/sample" --model "$out/whole/checkpoint.safetensors" --out "$out/bad.jpg"
refuses 'no such folder' "$build/sample" --model "$out/whole/checkpoint.safetensors" --out "$out/absent/bad.png"
refuses "must be a number from 0 on, turn, rows or none" "$build/sample" --model "$out/flow/checkpoint.safetensors" --class cat --out "$out/bad.png"
refuses '--class 10 and.*10 classes, 0 to 9' "$build/sample" --model "$out/flow/checkpoint.safetensors" --class 10 --solver flow_euler --out "$out/bad.png"
refuses '--variance does nothing without --solver ddpm' "$build/sample" --model "$out/whole/checkpoint.safetensors" --variance small --out "$out/bad.png"
refuses '--between is -3' "$build/sample" --model "$out/whole/checkpoint.safetensors" --between=-3 --out "$out/bad.png"
refuses '--strength is 0' "$build/sample" --model "$out/whole/checkpoint.safetensors" --image "$out/grid262.png" --strength 0 --out "$out/bad.png"
refuses '--strength is -1' "$build/sample" --model "$out/whole/checkpoint.safetensors" --image "$out/grid262.png" --strength=-1 --out "$out/bad.png"
refuses '--out and --animation are both' "$build/sample" --model "$out/whole/checkpoint.safetensors" --animation "$out/bad.png" --out "$out/bad.png"
refuses 'a folder has no name' "$build/sample" --model "$out/whole/checkpoint.safetensors" --each '' --out "$out/bad.png"
refuses '--huber-delta does nothing without --loss huber' "$build/train_cifar10" --huber-delta 1 --steps 1 --out "$out/bad"
refuses '--labels and .* of no class' "$build/train_cifar10" --labels --data "$out/each" --steps 1 --out "$out/bad"
refuses '--decay-steps does nothing without --decay' "$build/train_cifar10" --decay-steps 9 --steps 1 --out "$out/bad"
refuses 'a folder of PNGs' "$build/train_cifar10" --data "$out/absent" --steps 1 --out "$out/bad"
refuses '--scale is 0' "$build/sample" --model "$out/whole/checkpoint.safetensors" --scale 0 --out "$out/bad.png"
refuses '--columns is -1' "$build/sample" --model "$out/whole/checkpoint.safetensors" --columns -1 --out "$out/bad.png"
refuses '--threads is -1' "$build/sample" --model "$out/whole/checkpoint.safetensors" --threads -1 --out "$out/bad.png"
[ ! -e "$out/bad" ] || fail "a run that was refused left its folder"
echo "examples: ok"
