#!/bin/sh
# SPDX-License-Identifier: MIT
# The program loses nothing silently: full disks, limits on the size of files, closed
# descriptors, pipes without a reader, and signals. Runs of a few steps on generated shapes.
#   program_io.sh BUILD
set -eu
# nohup, under which this may run, has SIGHUP ignored; shells cannot undo that.
if [ -z "${PROGRAM_IO_RESET:-}" ] && env --default-signal=HUP true 2>/dev/null; then
    PROGRAM_IO_RESET=1 exec env --default-signal=HUP sh "$0" "$@"
fi
build=$1
out=$build/tmp/program_io
rm -rf "$out"
mkdir -p "$out"

fail() {
    echo "program_io: $1" >&2
    exit 1
}
# Runs a command every 0.1 s until it succeeds; fails after 60 s.
wait_for() {
    for _ in $(seq 600); do
        if "$@"; then return 0; fi
        sleep 0.1
    done
    return 1
}
# expect NAME STATUS REGEX COMMAND...: its exit status, and a line on standard error. Standard
# output goes to $stdout.
stdout=/dev/null
expect() {
    log=$out/$1.txt
    status=$2
    words=$3
    shift 3
    got=0
    "$@" >"$stdout" 2>"$log" || got=$?
    [ $got = "$status" ] || fail "'$*' ends with $got, not $status: $(cat "$log")"
    grep -q -e "$words" "$log" || fail "'$*' does not print '$words': $(cat "$log")"
}
# Whether loss.csv of a folder is a title and the rows 1 to N, and nothing else.
has_rows() {
    awk -F, -v last="$2" 'NR > 1 && (NF < 3 || $1 != NR - 1) { bad = 1 }
        END { exit bad || NR != last + 1 }' "$1/loss.csv" ||
        fail "$1/loss.csv is not $2 rows: $(cat "$1/loss.csv")"
}
# Whether a process handles SIGTERM, by the bit of that signal in /proc.
handles_term() { grep -qs '^SigCgt:.*[4567cdef]...$' "/proc/$1/status"; }
handles_int() { grep -qs '^SigCgt:.*[2367abef]$' "/proc/$1/status"; }
has_ended() { ! kill -0 "$1" 2>/dev/null; }
# start NAME COMMAND...: in the background, as $pid, until it handles signals.
start() {
    log=$out/$1.txt
    shift
    "$@" >"$log" 2>&1 &
    pid=$!
    wait_for handles_term $pid || { kill -KILL $pid; fail "'$*' does not handle SIGTERM"; }
}
# ends STATUS: within a minute.
ends() {
    wait_for has_ended $pid || { kill -KILL $pid; fail "does not end: $(cat "$log")"; }
    got=0
    wait $pid || got=$?
    [ $got = "$1" ] || fail "ends with $got, not $1: $(cat "$log")"
}
printed() { grep -q -e "$1" "$log" || fail "no '$1' in $log: $(cat "$log")"; }

diffusion=$build/diffusion
train="$diffusion train"
sample="$diffusion sample"
small="--data builtin --channels 16,16 --groups 4 --blocks 1 --attention 0,0 --mid-attention 0"
small="$small --batch 4 --samples 1 --sample-steps 1"
quick="$small --sample-every 0"
again="--samples 0 --sample-every 0"
full='No space left on device'
# The words of these variables are meant to be split.
# shellcheck disable=SC2086
expect model 0 parameters $train $quick --steps 2 --out "$out/model"
model=$out/model/checkpoint.safetensors

# ---- full disks ----

stdout=/dev/full
for command in demo train sample distance evaluate info convert distill; do
    expect help 1 "^diffusion: standard output: $full" $diffusion $command --help
done
# shellcheck disable=SC2086
expect train 1 "standard output: $full" $train $quick --steps 1 --out "$out/full"
[ -s "$out/full/checkpoint.safetensors" ] || fail "without standard output, train saves nothing"
# shellcheck disable=SC2086
expect sample 1 "standard output: $full" $sample --model "$model" --count 1 --steps 1 \
    --out "$out/full.png"
expect evaluate 1 "standard output: $full" $diffusion evaluate --model "$model" --count 1 \
    --timesteps 1
expect distance 1 "standard output: $full" $diffusion distance --model "$model" --count 4 --steps 1 \
    --table /dev/full
printed "^diffusion distance: /dev/full: $full"
stdout=/dev/null
# One file that cannot be written does not take the others with it.
ln -s /dev/full "$out/grid.png"
# shellcheck disable=SC2086
expect sample 1 "grid.png: $full" $sample --model "$model" --count 2 --steps 1 \
    --out "$out/grid.png" --npz "$out/kept.npz"
[ -s "$out/kept.npz" ] || fail "sample loses the arrays with the grid"

mkdir -p "$out/demo"
ln -s /dev/full "$out/demo/loss.csv"
expect demo 1 "demo/loss.csv: $full" $diffusion demo --steps 1 --out "$out/demo"
# A report that cannot be written ends the run, and the steps are saved.
# shellcheck disable=SC2086
expect report 0 parameters $train $quick --steps 1 --out "$out/report"
ln -sf /dev/full "$out/report/report.html"
expect report 1 "report.html: $full" $train --sample-every 1 --steps 50 --resume "$out/report"
has_rows "$out/report" 2
$diffusion info "$out/report" | grep -q '^  steps  *2$' ||
    fail "train does not save when the report fails"

# loss.csv reaches a limit in the middle of a run, which no other file does: the rows of the run
# before are long.
mkdir -p "$out/limit"
cp "$model" "$out/limit"
size=$(wc -c <"$model")
awk -v blocks=$((size / 512 + 40)) 'BEGIN {
    print "step,loss,gradient_norm,learning_rate,seconds"
    row = "1,0.5,1,0.001,0.1"
    for (length_ = 46; length_ + 18 < blocks * 512 - 300; length_ += 18) print row
}' >"$out/limit/loss.csv"
resume_limited() {
    ulimit -f $((size / 512 + 40))
    # shellcheck disable=SC2086
    exec $train $again --data builtin --steps 1000 --resume "$out/limit/checkpoint.safetensors"
}
got=0
log=$out/limit.txt
(resume_limited) >"$log" 2>&1 || got=$?
[ $got = 1 ] || fail "a limited loss.csv: train ends with $got, not 1: $(cat "$log")"
printed '^diffusion train: .*loss.csv: File too large'
printed '^stopped after [0-9]* of 1000 steps'
last=$(sed -n 's/^stopped after \([0-9]*\) .*/\1/p' "$log")
[ "$last" -lt 20 ] || fail "a limited loss.csv was noticed after $last steps"
# shellcheck disable=SC2086
expect limit 0 parameters $train $again --data builtin --steps $((last + 1)) \
    --resume "$out/limit/checkpoint.safetensors"

# An old loss.csv that cannot be read is kept.
mkdir -p "$out/loop" "$out/folder/loss.csv"
cp "$model" "$out/loop"
cp "$model" "$out/folder"
ln -s loss.csv "$out/loop/loss.csv"
for kind in loop folder; do
    # shellcheck disable=SC2086
    expect unread 1 'loss.csv cannot be read' $train $again --data builtin --steps 3 \
        --resume "$out/$kind/checkpoint.safetensors"
    [ -z "$(ls "$out/$kind" | grep part)" ] || fail "train leaves a part of loss.csv"
done
[ -L "$out/loop/loss.csv" ] || fail "train replaced a loss.csv that it could not read"

# A class whose folder cannot be read is not left out. (root can read it.)
if [ "$(id -u)" != 0 ]; then
    mkdir -p "$out/images/a" "$out/images/b"
    cp "$out/report/samples-000001.png" "$out/images/a"
    chmod 000 "$out/images/b"
    # shellcheck disable=SC2086
    expect images 1 'images/b: Permission denied' $train --data "$out/images" --steps 1 \
        --out "$out/images-out"
    chmod 755 "$out/images/b"
fi

# ---- a run that replaces another ----

# What is refused late, or fails, leaves the run's files, or at least its weights.
cp -R "$out/report" "$out/replaced"
mkdir "$out/line
break"
cp "$out/report/samples-000001.png" "$out/line
break"
# shellcheck disable=SC2086
{
    expect late 1 'data has a line break' $train $again --steps 1 --size 16 --preset tiny \
        --data "$out/line
break" --out "$out/replaced" --force
    cmp "$out/report/checkpoint.safetensors" "$out/replaced/checkpoint.safetensors"
    has_rows "$out/replaced" 2
    # The last steps are skipped, and samples are not finite, even if none are drawn.
    expect diverged 1 'the run diverged: its last [23] steps were not finite' $train $small \
        --samples 0 --lr 1e6 --warmup 0 --clip 0 --steps 4 --out "$out/no-samples"
    [ ! -e "$out/no-samples/checkpoint.safetensors" ] || fail "a run that diverged is saved"
    expect diverged 1 'output is infinite or NaN' $train $small --lr 1e6 --warmup 0 --clip 0 \
        --steps 4 --out "$out/replaced" --force
    kept=$out/replaced/checkpoint.replaced.safetensors
    printed "the run has no checkpoint; that of the run before is $kept"
    cmp "$out/report/checkpoint.safetensors" "$kept"
    [ ! -e "$out/replaced/checkpoint.safetensors" ] || fail "a run that diverged saves at its end"
    expect replaced 1 "without a checkpoint; that of the run before is $kept" $sample \
        --model "$out/replaced"
    expect again 0 parameters $train $quick --steps 1 --out "$out/replaced" --force
    [ ! -e "$kept" ] || fail "the weights before stay beside new ones"
}

# An option that changes is kept although the run is killed before its first checkpoint.
# shellcheck disable=SC2086
start killed $train --resume "$out/replaced" --lr 2e-4 --steps 100000 --sample-every 0
wait_for grep -q ' 2/100000' "$log" || fail "no step: $(cat "$log")"
kill -KILL $pid
wait $pid || true
printed '^continues after step 1$'
$diffusion info --all "$out/replaced" | grep -q 'learning_rate *0.0002' ||
    fail "a killed run loses its rate: $($diffusion info --all "$out/replaced")"

# A signal while samples are drawn, long before a checkpoint is due.
# shellcheck disable=SC2086
start drawing $train $quick --samples 64 --sample-every 1 --sample-steps 1000 --steps 9 \
    --out "$out/drawing"
wait_for grep -qs '^1,' "$out/drawing/loss.csv" || fail "no step: $(cat "$log")"
sleep 0.2
kill -TERM $pid
ends 0
printed '^stopped after 1 of 9 steps'
[ -s "$out/drawing/checkpoint.safetensors" ] || fail "a signal while samples are drawn saves nothing"

# Pictures that go while training goes on.
mkdir -p "$out/pictures"
for i in 1 2 3 4 5 6 7 8 9; do cp "$out/report/samples-000001.png" "$out/pictures/$i.png"; done
# shellcheck disable=SC2086
start pictures $train --data "$out/pictures" --channels 16,16 --attention 0,0 --mid-attention 0 \
    --size 16 --batch 4 --cache 0 $again --steps 100000 --out "$out/pictures-run"
wait_for grep -q '1/100000' "$log" || fail "no step: $(cat "$log")"
! grep -q warning "$log" || fail "a warning without a reason: $(cat "$log")"
rm "$out/pictures/"[2-9].png
wait_for grep -q '[2-9].png: .*; the next picture is used' "$log" || fail "no warning"
kill -TERM $pid
ends 0

# ---- descriptors that are closed, pipes without a reader ----

# shellcheck disable=SC2086
{
    $train $quick --steps 2 --out "$out/closed2" >/dev/null 2>&- || fail "train 2>&- fails"
    $train $quick --steps 2 --out "$out/closed1" 2>/dev/null >&- || fail "train >&- fails"
    $train $quick --steps 2 --out "$out/closed" <&- >&- 2>&- || fail "train with none fails"
    for name in closed closed1 closed2; do has_rows "$out/$name" 2; done

    # Progress and result to a pipe that is closed: the run is saved.
    {
        sleep 0.5
        got=0
        $train $quick --steps 2 --out "$out/pipe" 2>&1 || got=$?
        echo $got >"$out/pipe-status.txt"
    } | true
    wait_for [ -s "$out/pipe-status.txt" ] || fail "train to a closed pipe does not end"
    [ "$(cat "$out/pipe-status.txt")" = 1 ] || fail "train does not notice a closed pipe"
    [ -s "$out/pipe/checkpoint.safetensors" ] || fail "a closed pipe ends train unsaved"
    has_rows "$out/pipe" 2
}

# ---- signals ----

# Deliveries within a second count as one, as those of `timeout`. They come before the first step
# ends.
# shellcheck disable=SC2086
for name in TERM HUP; do
    start $name $train $quick --accumulation 100 --steps 100000 --out "$out/$name"
    for _ in 1 2 3; do
        kill -$name $pid 2>/dev/null || true
        sleep 0.1
    done
    ends 0
    printed '^stopped after [01] of 100000 steps'
    printed '^resume with: diffusion train --resume'
    [ -s "$out/$name/checkpoint.safetensors" ] || fail "SIG$name saves nothing"
done
# A second one, later, ends the program. Background jobs begin with SIGINT ignored; env resets it.
# shellcheck disable=SC2086
{
    default=
    if env --default-signal=INT true 2>/dev/null; then default="env --default-signal=INT"; fi
    start second $default $train $quick --accumulation 1000 --steps 9 --out "$out/second"
    if [ "$default" ]; then
        wait_for handles_int $pid || fail "train does not handle SIGINT"
        kill -INT $pid
    else
        kill -HUP $pid
    fi
    sleep 1.2
    kill -TERM $pid
    ends 143
    [ ! -e "$out/second/checkpoint.safetensors" ] || fail "a second signal does not end train"

    # What is ignored at the start stays so.
    start ignored sh -c 'trap "" HUP INT; exec "$@"' sh $train $quick --steps 30 \
        --out "$out/ignored"
    kill -HUP $pid
    kill -INT $pid
    ends 0
    printed '^done after 30 of 30'

    # A signal while the report is written: the report waits for the reader of a pipe.
    expect saving 0 parameters $train $quick --steps 1 --out "$out/saving"
    rm "$out/saving/report.html"
    mkfifo "$out/saving/report.html"
    start saving $train --resume "$out/saving" --sample-every 2 --steps 100000
    wait_for [ -e "$out/saving/samples-000002.png" ] || fail "train draws no samples"
    kill -TERM $pid
    sleep 0.2
    cat <>"$out/saving/report.html" >"$out/piped.html" & # for writing too: it reads on
    reader=$!
    ends 0
    kill $reader
    printed '^stopped after 2 of 100000 steps'
    grep -q '</html>' "$out/piped.html" || fail "no report after a signal"
    has_rows "$out/saving" 2
}
start demo sh -c 'exec "$@" 2>&-' sh "$diffusion" demo --steps 100000 --out "$out/stopped"
wait_for grep -qs '^1,' "$out/stopped/loss.csv" || fail "the demo does no step"
kill -TERM $pid
ends 0
has_rows "$out/stopped" "$(sed -n 's/^trained *\([0-9]*\) .*/\1/p' "$log")"
[ -s "$out/stopped/model.safetensors" ] || fail "SIGTERM: the demo saves nothing"
[ ! -e "$out/stopped/samples.png" ] || fail "SIGTERM does not end the demo"

# Programs that only sample stop, with 128 + the signal, and leave nothing.
many="--model $model --count 2000"
# shellcheck disable=SC2086
{
    start sample $sample $many --solver ddpm --out "$out/stopped.png"
    kill -TERM $pid
    ends 143
    printed '^diffusion sample: stopped by a signal'
    start distance $diffusion distance $many --solver ddpm --table "$out/stopped.csv"
    kill -HUP $pid
    ends 129
    start evaluate $diffusion evaluate --model $model --timesteps 0
    kill -TERM $pid
    ends 143
    printed '^diffusion evaluate: stopped by a signal'
    for file in stopped.png stopped.csv; do
        [ ! -e "$out/$file" ] || fail "$file is left after a signal"
    done

    # While single files are written: all of them, or none.
    start each $sample $many --steps 1 --scale 1 --out "$out/each.png" --each "$out/each"
    until [ -e "$out/each/00000.png" ] || has_ended $pid; do :; done
    kill -TERM $pid 2>/dev/null || true
    wait_for has_ended $pid || fail "sample --each does not end"
    got=0
    wait $pid || got=$?
    left=$(find "$out/each" -type f | wc -l)
    { [ "$got" = 143 ] && [ "$left" -ge 1 ] && [ "$left" -lt 2000 ]; } || [ "$got-$left" = 0-2000 ] ||
        fail "sample --each: $got, $left files"
}
echo "program_io: ok"
