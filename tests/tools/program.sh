#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the program `diffusion` end to end: train, stop by a signal, resume, fine-tune, sample, measure,
# convert.
#   program.sh BUILD
set -eu
build=$1
out=$build/tmp/program
rm -rf "$out"
mkdir -p "$out"

fail() {
    echo "program: $1" >&2
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
    fail "train: $1: $(cat "$out/parts.txt")"
}
is_png() {
    [ "$(od -An -tx1 -N8 "$1" | tr -d ' ')" = 89504e470d0a1a0a ] || fail "$1 is not a PNG"
}
# A PNG's pixels, without the texts before them.
pixels() { tail -c "+$(grep -abo IDAT "$1" | head -n 1 | cut -d : -f 1)" "$1"; }
same_pixels() {
    pixels "$1" >"$out/pixels-1"
    pixels "$2" | cmp -s - "$out/pixels-1"
}
# run NAME COMMAND...: the output goes to $out/NAME.txt.
run() {
    log=$out/$1.txt
    shift
    "$@" >"$log" 2>&1 || fail "'$*' failed: $(cat "$log")"
}
# The last run printed a line that matches.
printed() { grep -q -e "$1" "$log" || fail "no '$1' in $log: $(cat "$log")"; }

diffusion=$build/diffusion
sample="$diffusion sample"
train="$diffusion train"

run demo "$diffusion" demo --minutes 0.01 --steps 3 --out "$out/demo"
for name in data samples ddpm denoising; do is_png "$out/demo/$name.png"; done
[ "$(wc -l <"$out/demo/loss.csv")" = 4 ] || fail "the demo's loss.csv does not have 3 steps"
run demo "$diffusion" demo --minutes 0.01 --out "$out/demo"
printed '^trained  100 steps'

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
    wait $pid || fail "train did not stop cleanly: $(cat "$out/parts.txt")"
    [ -s "$out/parts/checkpoint.safetensors" ] || fail "SIGTERM saved nothing"
    run seven $train $tiny --steps 7 --out "$out/seven"
    run seven $train --steps 12 --resume "$out/seven"
}
whole=$out/whole/checkpoint.safetensors
seven=$out/seven/checkpoint.safetensors
cmp "$whole" "$seven" || fail "7 steps, a resume and 5 more differ from 12 steps"
[ "$(wc -l <"$out/seven/loss.csv")" = 13 ] || fail "loss.csv of the resumed run lacks steps"
grep -q 'data:image/png;base64,iVBOR' "$out/whole/report.html" || fail "report.html has no samples"
for word in loss_q1 '"running": *\(0\|false\)'; do
    grep -q -e "$word" "$out/whole/report.html" "$out/whole/loss.csv" || fail "no $word in the report"
done

# A folder of PNG files, whose folders are its classes; the steps of samples are limited to the
# number of timesteps unless they are given.
mkdir -p "$out/own/a" "$out/own/b" "$out/own/none"
# The words of $sample and $train are meant to be split, here and below.
# shellcheck disable=SC2086
run own $sample --model "$whole" --count 6 --steps 1 --out "$out/own.png" --each "$out/own/a"
cp "$out/own/a/0000"[012].png "$out/own/b"
# shellcheck disable=SC2086
run own $train --data "$out/own" $small --label-dropout 0.1 --timesteps 10 --steps 2 \
    --samples 4 --out "$out/trained-own"
printed '^9 pictures as 32 x 32, in colour, in 2 classes by folder: a, b$'
own=$out/trained-own/checkpoint.safetensors
for class in rows turn none 1 b a,b; do
    run class $sample --model "$own" --class $class --steps 2 --count 2 --out "$out/class.png"
done
run class $sample --model "$own" --between 9 --steps 2 --out "$out/class.png"
printed '^all of class a '
run evaluate $diffusion evaluate --model "$own" --data "$out/own"

# Other images under the same count than those that were trained on.
rm "$out/own/b/00002.png"
cp "$out/own/a/00005.png" "$out/own/b/00002.png"
run other $train --steps 3 --samples 0 --resume "$own"
printed 'warning: .*another dataset'

# A run within the pictures is no data.
cp -r "$out/trained-own" "$out/own/run"
run inside $train --data "$out/own" --resume "$own" --steps 4
printed '^9 pictures as 32 x 32, in colour, in 2 classes by folder: a, b$'
rm -r "$out/own/run"

mkdir -p "$out/renamed/a" "$out/renamed/c"
cp "$out/own/a/00000.png" "$out/renamed/a"
cp "$out/own/a/00001.png" "$out/renamed/c"
# Other classes keep the row for "no class": without a class the samples stay. The rate is high, so
# that classes matter after a few steps.
# shellcheck disable=SC2086
run strong $train --data "$out/own" $small --lr 0.02 --warmup 0 --label-dropout 0.5 --ema-decay 0 \
    --steps 60 --samples 0 --out "$out/strong"
run other $train --data "$out/renamed" --init "$out/strong" --lr 1e-12 --steps 1 --samples 0 \
    --out "$out/other-classes"
for name in strong other-classes; do
    run none $sample --model "$out/$name" --class none --count 2 --steps 5 --out "$out/none-$name.png"
done
same_pixels "$out/none-strong.png" "$out/none-other-classes.png" || fail "--init loses the row for no class"

# A run of hours is told what takes less time, and has samples early.
# shellcheck disable=SC2086
$train --data builtin $small --samples 1 --sample-steps 1 --steps 100000000 --out "$out/long" \
    >"$out/long.txt" 2>&1 &
pid=$!
wait_for [ -s "$out/long/samples-000100.png" ] || fail "no samples after 100 steps"
kill -TERM $pid
wait $pid || fail "a long run does not stop: $(cat "$out/long.txt")"
grep -q 'this will take about .*--init installed' "$out/long.txt" ||
    fail "no advice: $(cat "$out/long.txt")"

# A run that is done: its report is written again, and knows how far it came.
run done $train --resume "$out/trained-own" --steps 4
printed '^all 4 steps are done, --steps N'
grep -q '<dt>passes</dt><dd>1.78</dd>' "$out/trained-own/report.html" ||
    fail "the report does not know the passes"
# More images than a grid shows.
# shellcheck disable=SC2086
run many $sample --model "$whole" --count 4100 --steps 1 --npz "$out/many.npz" \
    --out "$out/many.png"
printed 'many.png shows the first 4096 of 4100 images'

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
    run $kind $train $tiny --label-dropout 0.2 $options --steps 4 --out "$out/$kind"
    is_png "$out/$kind/samples-000004.png"
    run "$kind-info" $diffusion info "$out/$kind/samples-000004.png"
    printed '^  training-step  *4$'
    printed '^  seed  *1$'
    run $kind $train --steps 6 --samples 0 --resume "$out/$kind/checkpoint.safetensors"
done
edm=$out/edm/checkpoint.safetensors
flow=$out/flow/checkpoint.safetensors
run rows $sample --model "$edm" --class rows --columns 2 --steps 2 --out "$out/rows.png"
printed '^20 images'
for weights in trained ema ema_1 ema-2; do
    rm -f "$out/$weights.png"
    run weights $sample --model "$edm" --weights $weights --count 1 --steps 3 \
        --out "$out/$weights.png"
    is_png "$out/$weights.png"
done
! same_pixels "$out/ema_1.png" "$out/ema-2.png" || fail "the second and third EMA sample the same image"

# shellcheck disable=SC2086
run plain $train $tiny --no-labels --steps 2 --out "$out/plain"
plain=$out/plain/checkpoint.safetensors
# Guidance needs dropped labels: without them, a warning.
# shellcheck disable=SC2086
run labels $train $tiny --label-dropout 0 --steps 2 --out "$out/labels"
run guided $sample --model "$out/labels/checkpoint.safetensors" --guidance 2 --count 2 --steps 2 \
    --out "$out/guided.png"
printed '^diffusion sample: warning: .*label_dropout'
run guided $sample --model "$flow" --guidance 2 --count 2 --steps 2 --solver flow-euler \
    --out "$out/guided.png"
! grep -q warning "$log" || fail "guidance with dropped labels warns: $(cat "$log")"

# A run that diverges says what to try, with and without a checkpoint, and its page has stopped.
wild="$tiny --lr 1e6 --warmup 0 --clip 0 --steps 200"
for every in 0 1; do
    # shellcheck disable=SC2086
    if $train $wild --save-every $every --out "$out/wild$every" >"$out/wild.txt" 2>&1; then
        fail "a run that diverges ends with 0"
    fi
    case $every in 0) words='start again with' ;; 1) words="--resume $out/wild1) with" ;; esac
    grep -q -e "the run diverged: .*$words a lower rate" "$out/wild.txt" ||
        fail "no '$words' in $out/wild.txt: $(cat "$out/wild.txt")"
    grep -q '"running":false' "$out/wild$every/report.html" || fail "a run that diverged goes on"
done

# A preset of a paper keeps the paper's prediction and schedule; the default is v and cosine.
run info $diffusion info --all "$whole"
printed '^  prediction  *v$'
printed '^  kind  *cosine$'
# shellcheck disable=SC2086
run preset $train --preset ddpm-cifar10 $tiny --steps 1 --out "$out/preset"
run info $diffusion info --all --tensors "$out/preset"
printed '^  prediction  *eps$'
printed '^  kind  *linear$'
printed '^  conv_in.weight  *16 x 3 x 3 x 3$'

# ---- sampling ----

run sample $sample --model "$whole" --count 3 --steps 4 --out "$out/grid.png" \
    --animation "$out/run.png" --each "$out/each"
for file in grid run each/00000 each/00002; do is_png "$out/$file.png"; done
# Several numbers of steps are the runs with each of them, one after another.
run rows $sample --model "$whole" --count 2 --steps 3,4 --out "$out/rows.png" --each "$out/rows"
run rows $sample --model "$whole" --count 2 --steps 3 --out "$out/rows.png" --each "$out/row"
same_pixels "$out/rows/00001.png" "$out/row/00001.png" || fail "--steps 3,4 differs from --steps 3"
same_pixels "$out/rows/00003.png" "$out/each/00001.png" || fail "--steps 3,4 differs from --steps 4"
run grid262 $sample --model "$whole" --count 4 --steps 2 --out "$out/grid262.png"
# Every solver samples with its own spacing, grid and variance.
for solver in ddpm ddim pndm plms euler euler_ancestral heun dpm2 lms dpmpp dpmpp_single dpmpp_sde \
    unipc deis; do
    run solver $sample --model "$whole" --solver $solver --count 1 --steps 5 --out "$out/solver.png"
done
# The words of $options are meant to be split.
from="--image $out/each/00000.png"
for options in "--solver unipc --random torch" "--solver heun --grid karras --churn 5" \
    "--solver ddpm --variance fixed-small" "--solver ddim --eta 1 --rederive-eps 1 --spacing leading" \
    "$from --strength 0.5" "$from --vary 0.3" "--between 7" \
    "$from --mask $out/each/00001.png --solver ddpm --repaint 2" \
    "$from --mask $out/each/00001.png --repaint 30 --animation $out/repainted.png"; do
    rm -f "$out/options.png"
    # shellcheck disable=SC2086
    run options $sample --model "$whole" --count 2 --steps 4 --out "$out/options.png" $options
    is_png "$out/options.png"
done
is_png "$out/repainted.png"
run evaluate $diffusion evaluate --model "$whole" --count 2 --timesteps 2
printed '^bits per value'
run distance $diffusion distance --model "$whole" --count 4 --steps 2 --table "$out/distance.csv"
run distance $diffusion distance --model "$whole" --count 4 --steps 2 --repeat 2
printed 'standard deviation of 2'
grep -q '^dpmpp,2,' "$out/distance.csv" || fail "distance writes no row: $(cat "$out/distance.csv")"

# ---- help and errors ----

run help "$diffusion" --help
commands=$(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' "$log")
[ "$(echo "$commands" | wc -l)" = 8 ] || fail "not eight commands: $commands"
for command in $commands; do
    run help "$diffusion" $command --help
    printed '^Examples:'
    run short "$diffusion" $command -h
    cmp "$out/help.txt" "$out/short.txt" || fail "-h and --help differ"
    run help "$diffusion" help $command
    cmp "$out/help.txt" "$out/short.txt" || fail "help and --help differ"
    # No line is wider than the terminal, but examples.
    COLUMNS=60 "$diffusion" $command --help | sed -n '/^[A-Z][a-z ]*:$/,$p' | sed '/^Examples:/,/^$/d' |
        awk 'length > 60 { exit 1 }' || fail "the help of $command is wider than 60 columns"
    if "$diffusion" $command --no-such-option >/dev/null 2>&1; then
        fail "$command takes an option that it does not have"
    fi
    # Manual page and completion have each option of the help.
    options=$(sed -n 's/^  \(-.,\|   \) \(--[a-z0-9-]*\).*/\2/p' "$out/short.txt")
    "$diffusion" manual $command | sed 's/\\-/-/g' >"$out/manual.txt"
    for shell in bash zsh fish; do "$diffusion" completion $shell >"$out/completion.$shell"; done
    for option in $options; do
        for file in manual.txt completion.bash completion.zsh; do
            grep -q -e "$option\\b" "$out/$file" || fail "$file lacks $option of $command"
        done
        grep -q -e "subcommand_from $command' -l ${option#--}\b" "$out/completion.fish" ||
            fail "completion.fish lacks $option of $command"
    done
done
bash -n "$out/completion.bash" || fail "the completion for bash is no script"
for shell in zsh fish; do
    command -v $shell >/dev/null || continue
    $shell -n "$out/completion.$shell" || fail "the completion for $shell is no script"
done
# Of bash, what is offered.
completed=$(bash -c '. "$1"; compopt() { :; }; COMP_WORDS=(diffusion sample --solver uni); COMP_CWORD=3
    _diffusion diffusion uni --solver; echo "${COMPREPLY[@]}"' bash "$out/completion.bash")
[ "$completed" = unipc ] || fail "--solver uni is completed to '$completed'"
completed=$(bash -c '. "$1"; COMP_WORDS=(diffusion help tr); COMP_CWORD=2
    _diffusion diffusion tr help; echo "${COMPREPLY[@]}"' bash "$out/completion.bash")
[ "$completed" = train ] || fail "help tr is completed to '$completed'"
run version "$diffusion" --version
printed '^diffusion [0-9]'
run help $sample --help
printed '^  unipc  *the fewest steps'
printed '--solver=NAME'
run help $train --help
# Words that cannot be given are not offered, and an empty list is none.
flat=$(tr -s ' \n' '  ' <"$log")
for words in 'add, scale_shift, add_output' 'of that name: eps, x0, v, flow, edm (default: v)' \
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
mkdir "$out/empty"
head -c 100 "$out/grid262.png" >"$out/broken.png"
one="--steps 1 --out $out/bad"
bad="--model $whole --out $out/bad.png"
# The words of $one and $bad are meant to be split.
# shellcheck disable=SC2086
{
    refuses "no command 'trian'; did you mean 'train'?" $diffusion trian
    refuses 'no option --stesp; did you mean --steps?' $train --stesp 3
    refuses '--sample may be --samples, --sample-every, --sample-steps' $train --sample 3
    refuses 'no option -q ' $train -q
    refuses '--steps needs an argument' $train --steps
    refuses '--force takes no argument' $train --force=3
    refuses "'b' is one word too many" $train a b
    refuses 'usage: diffusion distill ' $diffusion distill
    refuses '--to N is needed: the DDIM steps' $diffusion distill "$flow" --data builtin
    refuses '--minutes is 0; it must be from 0.01' $diffusion demo --minutes 0 --out "$out/bad"
    refuses '--threads is 999' $diffusion demo --threads 999 --out "$out/bad"

    # What a network's file holds cannot be changed; a run is not replaced.
    for given in groups=4 rho=5 preset=tiny; do
        refuses "--${given%=*} cannot be changed: .*leave it out" \
            $train --steps 20 --$given --resume "$seven"
    done
    refuses 'has done 12 steps already' $train --steps 11 --resume "$seven"
    refuses 'has a run already: --resume' $train $tiny --steps 1 --out "$out/whole"
    refuses '--resume .*absent: No such file' $train --resume "$out/absent"
    refuses 'there is no checkpoint.safetensors in it' $train --resume "$out/demo"
    refuses '--resume cannot be combined with --init' $train --resume "$seven" --init "$whole"
    refuses "class 1 is 'c' in .*/renamed and 'b' in the network: .*--init" \
        $train --steps 9 --resume "$own" --data "$out/renamed"
    mkdir "$out/alone"
    cp "$whole" "$out/alone/x.safetensors"
    refuses '--data PATH is needed' $diffusion distance "$out/alone/x.safetensors"
    refuses '--data PATH is needed' $diffusion evaluate "$out/alone/x.safetensors"
    refuses 'is the model itself' $diffusion convert "$whole" "$whole"
    refuses 'is the checkpoint of a run' $diffusion convert "$flow" "$whole"
    refuses 'whole has a run: --out' $diffusion demo --minutes 0.01 --out "$out/whole"
    mkfifo "$out/pipe.png"
    refuses 'pipe.png: not a regular file' timeout 20 $sample $bad --image "$out/pipe.png" \
        --strength 0.5
    # Names that a terminal would obey.
    mkdir "$out/escape"
    head -c 20 "$out/grid262.png" >"$out/escape/$(printf 'a\033b.png')"
    refuses 'escape/a?b.png: ' $train "$out/escape" --out "$out/bad"
    refuses "the data is given twice" $train --data builtin builtin

    refuses '--threads is 257' $train --threads 257 --out "$out/bad"
    refuses '--epochs is nan' $train --epochs nan --out "$out/bad"
    refuses '--epochs is 0; it must be above' $train --epochs 0 $one
    refuses '--epochs is inf' $train --epochs inf --out "$out/bad"
    refuses '--sample-steps is 50' $train --timesteps 20 --sample-steps 50 --out "$out/bad"
    refuses '--samples is 65537' $train --samples 65537 --out "$out/bad"
    refuses "--samples is '3x'; it must be a whole number" $train --samples 3x --out "$out/bad"
    refuses '--steps 3 cannot be combined with --epochs 2' $train --steps 3 --epochs 2
    refuses "--groups is 7; .* every entry of --channels" $train --groups 7 $one
    refuses '--ema-half-life 9 cannot be combined with --ema-decay' $train --ema-half-life 9 $one
    refuses '--loss .*hybrid.* cannot be combined.*--learned-variance 0' $train --loss hybrid $one
    refuses '--ema-decay is .0.9,x' $train --ema-decay 0.9,x $one
    refuses '--loss is .squares.*one of mse, pseudo_huber, hybrid' $train --loss squares $one
    refuses '--lr is -1' $train --lr=-1 $one
    for word in any consistency; do
        refuses "--prediction is .$word.; it must be one of eps, x0, v, flow, edm" \
            $train --prediction $word $one
    done
    refuses "--preset is 'huge'; it must be one of tiny, small" $train --preset huge $one
    refuses "--precision is 'bf16'; it must be one of float32" $train --precision bf16 $one
    refuses '--huber-delta has no effect without --loss pseudo_huber' $train --huber-delta 1 $one
    refuses '--lr-steps has no effect without --lr-schedule' $train --lr-steps 9 $one
    refuses '--label-dropout has no effect without' $train --no-labels --label-dropout 0.1 $one
    refuses 'absent: no such file or folder' $train --data "$out/absent" $one
    refuses 'no PNG or JPEG file in it, nor CIFAR-10' $train --data "$out/empty" $one
    refuses "--size is '3'; it must be from 8" $train --data "$out/own" --size 3 $one
    refuses "--size is '68'; generated shapes" $train --size 68 $one
    refuses "--size is '50'; height and width must be multiples of 4" $train --size 50 $one
    refuses '--lr is 0; it must be above 0' $train --lr 0 $one
    refuses 'no option --learning-rate; did you mean --lr?' $train --learning-rate 1 $one
    refuses 'fotos: no such file or folder' $train fotos $one
    refuses 'own.png is a picture; name the folder' $train "$out/own.png" $one
    refuses 'neither a folder of pictures nor CIFAR-10' $train "$out/whole.txt" $one
    refuses '--crop has no effect with builtin' $train --crop random $one
    refuses "--crop is 'middle'; it must be one of center, random" $train --crop middle $one
    refuses "--background is 'sky'" $train --data "$out/own" --background sky $one
    refuses 'none of its 9 pictures .*--condition has no picture' $train --data "$out/own" \
        --condition "$out/empty" $one

    refuses '--data PATH is needed: the pictures to train on' $train --init "$whole"
    cp "$seven" "$out/moved.safetensors"
    refuses 'which .*/moved.safetensors does not name' $train --resume "$out/moved.safetensors"
    run network $diffusion convert "$flow" "$out/network.safetensors"
    refuses 'is a network, no checkpoint of a run: .*--init' $train \
        --resume "$out/network.safetensors"
    refuses 'loss.csv: that is no checkpoint' $train --resume "$out/whole/loss.csv"
    refuses 'own is no model: neither checkpoint.safetensors nor' $sample "$out/own"
    refuses 'own.png is a picture, no model' $sample "$out/own.png"
    refuses '--npz needs an argument, and --steps follows' $sample $bad --npz --steps 4
    refuses '--class is given twice; commas' $sample --model "$flow" --class ring --class star \
        --out "$out/bad.png"
    refuses "is 'cirle'; did you mean circle?" $sample --model "$flow" --class cirle \
        --out "$out/bad.png"
    refuses '20000 columns are too many for one grid' $sample $bad --count 5000 --each "$out/bad" \
        --columns 20000 --scale 16 --steps 1

    refuses absent.safetensors $sample --model "$out/absent.safetensors"
    refuses 'ship: No such file.*a class is named by --class ship' $sample ship
    refuses 'is no model; in it are .*/flow' $sample "$out"
    mkdir "$out/unsaved"
    cp "$out/whole/settings.txt" "$out/unsaved"
    refuses 'unsaved is a run that was not saved yet' $sample "$out/unsaved"
    refuses '--count is 0; it must be from 1' $sample --count 0
    refuses 'the model is given twice' $sample --model "$whole" "$whole"
    refuses '5000 images are too many for one grid' $sample $bad --count 5000
    refuses "--npz is 'x.zip'; the name must end in .npz" $sample $bad --npz x.zip
    refuses '--npz .*its folder does not exist' $sample $bad --npz "$out/none/x.npz"
    refuses '--steps is .abc.; it must be a number' $sample $bad --steps abc
    refuses '--steps is .4,.; it must be a number' $sample $bad --steps 4,
    refuses '--animation cannot be used with several' $sample $bad --steps 4,5 \
        --animation "$out/run.png"
    refuses "'steps' is 1001; .*'timesteps', 1000" $sample $bad --steps 1001
    refuses '--scale is 0' $sample $bad --scale 0
    refuses '--columns is -1' $sample $bad --columns -1
    refuses '--threads is -1' $sample $bad --threads -1
    refuses '--between is -3' $sample $bad --between=-3
    refuses '--vary is 2; it must be from 0 to 1' $sample $bad --vary 2
    refuses '--strength is 0' $sample $bad --image "$out/grid262.png" --strength 0
    refuses '--strength is -1' $sample $bad --image "$out/grid262.png" --strength=-1
    refuses '--strength cannot be used without --image' $sample $bad --strength 0.5
    refuses '--mask cannot be used without --image' $sample $bad --mask "$out/grid262.png"
    refuses 'loss.csv: .*neither' $sample $bad --image "$out/whole/loss.csv" --strength 0.5
    refuses '--solver is .foo' $sample $bad --solver foo
    refuses "--weights is 'average'; it must be one of default" $sample $bad --weights average
    refuses '--variance has no effect without --solver ddpm' $sample $bad --variance fixed_small
    refuses 'flow_euler.*schedule' $sample $bad --solver flow_euler
    refuses '--guidance.*classes' $sample --model "$plain" --out "$out/bad.png" --guidance 2
    refuses '--class is .rows.; .* has no classes' $sample --model "$plain" --class rows \
        --out "$out/bad.png"
    refuses '--class is .cat.; the classes of .* are circle, square,' $sample --model "$flow" \
        --class cat --out "$out/bad.png"
    refuses '--class is .10.; the classes' $sample --model "$flow" --class 10 --out "$out/bad.png"
    refuses '--condition has no effect' $sample $bad --condition "$out/grid262.png"
    refuses '--vector has no effect' $sample $bad --vector 1,2
    refuses 'must end in .png' $sample --model "$whole" --out "$out/bad.jpg"
    refuses 'its folder does not exist' $sample --model "$whole" --out "$out/absent/bad.png"
    refuses '--out and --animation are both' $sample $bad --animation "$out/bad.png"
    refuses 'each is empty' $sample $bad --each ''
    refuses '--timesteps is -1' $diffusion evaluate --model "$whole" --timesteps=-1
    refuses '--count is 3; it must be from 4' $diffusion distance --model "$whole" --count 3
    refuses '--class-names has 2 names' $diffusion convert --class-names a,b "$flow" "$out/bad"
    refuses '--height.* are for folders of diffusers' $diffusion convert --height 64 "$flow" "$out/bad"
    refuses 'broken.png: cut off' $diffusion info "$out/broken.png"
}
[ ! -e "$out/bad" ] || fail "a run that was refused left its folder"
[ ! -e "$out/bad.png" ] || fail "a refused sample left its file"
echo "program: ok"
