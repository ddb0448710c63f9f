#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs each example of the library, examples/*.c, end to end with few steps, and checks what it
# should show.
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
# misused EXAMPLE ARGUMENT...: its usage and exit status 2.
misused() {
    name=$1
    shift
    status=0
    "$build/$name" "$@" >"$out/misused.txt" 2>&1 || status=$?
    [ $status = 2 ] || fail "'$name $*' ends with $status, not 2"
    grep -q "^usage: $name " "$out/misused.txt" || fail "'$name $*' prints no usage"
}
# fails EXAMPLE WORDS ARGUMENT...: exit status 1 and a message of that example with those words.
fails() {
    name=$1
    words=$2
    shift 2
    status=0
    "$build/$name" "$@" >"$out/fails.txt" 2>&1 || status=$?
    [ $status = 1 ] || fail "'$name $*' ends with $status, not 1"
    grep -q -e "^$name: .*$words" "$out/fails.txt" ||
        fail "'$name $*' does not print '$words': $(cat "$out/fails.txt")"
}

# ---- models: one of an example, and smaller ones ----

run train_cifar10 "$build/train_cifar10" builtin 2 "$out/model.safetensors"
printed '^step 2 of 2, loss [0-9]'
printed 'model.safetensors: [0-9]* parameters$'
# The loss becomes less, of the first 25 steps and of the next.
run train_longer "$build/train_cifar10" builtin 50 "$out/longer.safetensors"
awk '/^step/ { loss[++n] = $6 } END { exit !(n == 2 && loss[2] < loss[1]) }' "$log" ||
    fail "50 steps do not reduce the loss: $(cat "$log")"

small="--data builtin --channels 16,16 --groups 4 --blocks 1 --attention 0,0 --mid-attention 0"
small="$small --batch 4 --lr 1e-3 --samples 0 --no-labels"
# The words of $small are meant to be split.
# shellcheck disable=SC2086
{
    run v "$build/diffusion" train $small --steps 12 --out "$out/v"
    run short "$build/diffusion" train $small --steps 4 --timesteps 20 --out "$out/short"
    run edm "$build/diffusion" train $small --schedule edm --prediction edm --steps 2 \
        --out "$out/edm"
}
v=$out/v/checkpoint.safetensors
short=$out/short/checkpoint.safetensors
edm=$out/edm/checkpoint.safetensors

# ---- sampling ----

run sample_ddpm "$build/sample_ddpm" "$short" "$out/ddpm.png"
printed '^step 20 of 20$'
is_png "$out/ddpm.png"
# A seed's images are the same again, and others with another number of steps or another solver.
run sample_ddim "$build/sample_ddim" "$out/model.safetensors" "$out/ddim.png" 3
printed '^3 evaluations of the network in place of 1000$'
is_png "$out/ddim.png"
for steps in 3 4; do
    run sample_ddim "$build/sample_ddim" "$out/model.safetensors" "$out/ddim$steps.png" $steps
done
cmp "$out/ddim.png" "$out/ddim3.png" || fail "sample_ddim is not reproducible"
! cmp -s "$out/ddim.png" "$out/ddim4.png" || fail "sample_ddim ignores STEPS"
run sample_ddim "$build/sample_ddim" "$short" "$out/ddim20.png" 20
! cmp -s "$out/ddpm.png" "$out/ddim20.png" || fail "sample_ddim draws what sample_ddpm draws"

run own_denoiser "$build/own_denoiser" "$out/own.png"
is_png "$out/own.png"
awk '/^sample [0-7]: / { n++; if ($3 > 1e-4) far++ } END { exit !(n == 8 && !far) }' "$log" ||
    fail "own_denoiser's samples are not the data: $(cat "$log")"

run inpainting "$build/inpainting" "$v" "$out/inpainting.png"
printed '^largest difference in the kept half: 0$'
is_png "$out/inpainting.png"

# A PNG's pixels, without the texts before them.
pixels() { tail -c "+$(grep -abo IDAT "$1" | head -n 1 | cut -d : -f 1)" "$1"; }
# In steps, with the result of a run.
run game_loop "$build/game_loop" "$v" "$out/game.png"
printed '^frame 1: [0-9.]* ms, 19 steps left$'
printed '^frame 20: [0-9.]* ms, 0 steps left$'
run whole "$build/diffusion" sample --model "$v" --seed 0 --count 4 --steps 20 \
    --solver ddim --guidance 1 --out "$out/in-one.png"
pixels "$out/in-one.png" >"$out/pixels"
pixels "$out/game.png" | cmp - "$out/pixels" || fail "game_loop and a run in one differ"

# ---- guidance by callback ----

# Even of a network that has hardly learned anything, guidance changes the number as it should.
# improves NAME COMPARISON: of the last two numbers that an example prints.
improves() {
    run "$1" "$build/$1" "$v" "$out/$1.png"
    is_png "$out/$1.png"
    awk '/without guidance/ { split($0, n, ": "); split(n[2], v, " "); found = 1 }
        END { exit !(found && v[1] + 0 '"$2"' v[4] + 0) }' "$log" ||
        fail "$1 does not improve: $(cat "$log")"
}
improves guided_classifier '<'
improves guided_reconstruction '>'
fails guided_reconstruction . "$edm" "$out/bad.png"

# ---- conditions ----

run super_resolution "$build/super_resolution" "$out/super-resolution.png" 2
printed 'error: 0\.[0-9]* enlarged, [0-9.]* sampled$'
is_png "$out/super-resolution.png"
run condition_vector "$build/condition_vector" "$out/condition-vector.png" 2
printed '^the shape moves from column'
is_png "$out/condition-vector.png"

# ---- arguments and errors ----

for example in sample_ddpm sample_ddim inpainting game_loop guided_classifier \
    guided_reconstruction; do
    misused $example
    misused $example --help
    misused $example "$v" "$out/bad.png" 1 2
    fails $example absent.safetensors "$out/absent.safetensors" "$out/bad.png"
done
for example in train_cifar10 own_denoiser super_resolution condition_vector; do
    misused $example --help
    misused $example "$out/bad" 1 "$out/bad" 2
done
for steps in abc -5 5x '' 0 1000000001 18446744073709551617; do
    misused train_cifar10 builtin "$steps" "$out/bad.safetensors"
    misused sample_ddim "$v" "$out/bad.png" "$steps"
    misused super_resolution "$out/bad.png" "$steps"
    misused condition_vector "$out/bad.png" "$steps"
done
for weight in abc nan inf 1e999 ''; do
    misused guided_classifier "$v" "$out/bad.png" "$weight"
    misused guided_reconstruction "$v" "$out/bad.png" "$weight"
done
fails train_cifar10 absent.tar.gz "$out/absent.tar.gz" 1 "$out/bad.safetensors"
fails super_resolution absent.tar.gz "$out/bad.png" 1 "$out/absent.tar.gz"
fails train_cifar10 absent/bad "builtin" 1 "$out/absent/bad.safetensors"
fails sample_ddim "'steps' is 1001" "$v" "$out/bad.png" 1001
fails own_denoiser absent/bad.png "$out/absent/bad.png"
[ ! -e "$out/bad.png" ] || fail "an example that failed left its file"
[ ! -e "$out/bad.safetensors" ] || fail "training that failed left its file"
echo "examples: ok"
