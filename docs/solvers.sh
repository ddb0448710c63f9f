#!/bin/sh
# SPDX-License-Identifier: MIT
# The tables and images of docs/solvers.md: trains a network for each of four schedules on generated
# shapes, measures the distance of every solver's images to the data, and rewrites the part of
# docs/solvers.md below its last marker. From the root:
#   solvers.sh BUILD OUT [STEPS [COUNT [SCHEDULE...]]]
# Networks and figures that are in OUT already are kept, so that an interrupted run continues; with
# schedules named, only theirs are added.
set -eu
if [ $# -lt 2 ]; then
    echo 'usage: solvers.sh BUILD OUT [STEPS [COUNT [SCHEDULE...]]]' >&2
    exit 2
fi
diffusion=$1/diffusion
out=$2
steps=${3:-3000} # of training
count=${4:-512}  # images of a distance
schedules='cosine linear flow edm'
if [ $# -gt 4 ]; then shift 4 && schedules=$*; fi
threads=${THREADS:-0}
images=docs/images/solvers
figures=$out/figures-$count.txt # schedule solver steps spacing grid variance distance
work=$out/work-$$
solvers='ddpm ddim pndm plms euler euler_ancestral heun dpm2 lms dpmpp dpmpp_single dpmpp_sde unipc
    deis flow_euler flow_heun'
mkdir -p "$out" "$images" "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
touch "$figures"

# Trains in a folder of its own until it is done; an interrupted training is resumed.
train() {
    [ ! -s "$out/$1/checkpoint.safetensors" ] || return 0
    case $1 in
        flow) options='--prediction flow' ;;
        edm) options='--prediction edm --timestep-sampling log_normal' ;;
        *) options='--prediction v' ;;
    esac
    part=$out/$1-part
    if [ -s "$part/checkpoint.safetensors" ]; then
        options="--resume $part"
    else
        options="$options --data builtin --no-labels --schedule $1 --size 16 --preset tiny
            --batch 32 --lr 1e-3 --warmup 0 --lr-schedule cosine --lr-steps $steps
            --ema-decay 0.999 --sample-every 0 --save-every 500 --no-pictures --out $part"
    fi
    # shellcheck disable=SC2086 # options are words
    "$diffusion" train --steps "$steps" --threads "$threads" $options
    mv "$part" "$out/$1"
}

# Runs a command. 0: done; 1: the library refused the options; anything else ends the script.
attempt() {
    "$@" >"$work/out" 2>"$work/error" && return 0
    grep -q 'cannot be combined with\|needs at least' "$work/error" && return 1
    cat "$work/error" >&2
    exit 1
}

# Whether $options draw the same images as the default settings.
is_default() {
    for file in usual other; do
        [ $file = other ] && words=$options || words=
        # shellcheck disable=SC2086 # words
        attempt "$diffusion" sample "$out/$1" --solver "$2" --steps "$3" --count 4 \
            --threads "$threads" --out "$work/$file.png" $words || return 1
    done
    cmp -s "$work/usual.png" "$work/other.png"
}

# Adds a line to the figures unless it is there. The default's figure is not measured twice.
distance() {
    key="$1 $2 $3 $4 $5 $6"
    grep -q "^$key " "$figures" && return
    options=
    [ "$4" = auto ] || options="--spacing $4"
    [ "$5" = auto ] || options="$options --grid $5"
    [ "$6" = auto ] || options="$options --variance $6"
    usual=$(sed -n "s/^$1 $2 $3 auto auto auto //p" "$figures")
    rm -f "$work/row"
    # shellcheck disable=SC2086 # options are words
    if [ -n "$options" ] && [ -n "$usual" ] && is_default "$1" "$2" "$3"; then
        echo "$key $usual" >>"$figures"
    elif attempt "$diffusion" distance "$out/$1" --count "$count" --threads "$threads" \
        --table "$work/row" --solver "$2" --steps "$3" $options; then
        echo "$key $(awk -F, '{ print $5 }' "$work/row")" >>"$figures"
    else
        echo "$key refused" >>"$figures"
    fi
}

# The spread of a distance over other images: of the data itself, and of DDIM with 20 steps.
spread() {
    for what in real ddim; do
        grep -q "^$1 $what spread" "$figures" && continue
        [ $what = real ] && option=--real || option='--solver ddim --steps 20'
        rm -f "$work/row"
        # shellcheck disable=SC2086
        attempt "$diffusion" distance "$out/$1" --count "$count" --threads "$threads" \
            --repeat 4 --table "$work/row" $option
        echo "$1 $what spread $(awk -F, '{ print $5, $6 }' "$work/row")" >>"$figures"
    done
}

# A row of eight images for each of 10, 20 and 50 steps.
image() {
    attempt "$diffusion" sample "$out/$1" --solver "$2" --count 8 --columns 8 \
        --steps 10,20,50 --scale 4 --threads "$threads" --out "$work/image.png" || return 0
    mv "$work/image.png" "$images/$1-$2.png"
}

matrix() {
    for solver in $solvers; do
        image "$1" "$solver"
        for n in 20 10 50; do distance "$1" "$solver" $n auto auto auto; done
    done
}

# Settings other than the default: solver, spacing, grid, variance.
other='ddpm auto auto fixed_large
pndm trailing timesteps auto
plms trailing timesteps auto
euler trailing karras auto
heun trailing timesteps auto
heun leading karras auto
heun trailing karras auto
dpm2 trailing timesteps auto
dpm2 leading karras auto
dpm2 trailing karras auto
lms trailing karras auto
dpmpp trailing karras auto
dpmpp linspace exponential auto
unipc trailing karras auto
unipc linspace exponential auto
deis trailing karras auto'

settings() {
    echo "$other" | while read -r solver spacing grid variance; do
        for n in 20 10; do distance "$1" "$solver" $n "$spacing" "$grid" "$variance"; done
    done
}

# ---- tables ----

table() {
    awk -v solvers="$solvers" -v images="$(cd "$images" && echo *.png)" "$1"'
        function value(key) {
            return !(key in d) ? "" : d[key] == "refused" ? "-" : sprintf("%.1f", d[key])
        }
        $3 != "spread" {
            d[$1 " " $2 " " $3 " " $4 " " $5 " " $6] = $7
        }
        $3 == "spread" { mean[$1 " " $2] = $4; deviation[$1 " " $2] = $5 }
        END { n = split(solvers, solver, " "); print_table() }' "$figures"
}

distance_table() {
    table '
        function cell(s, k, n) { return value(s " " k " " n " auto auto auto") " | " }
        function print_table(   i, j, line, s) {
            split("cosine linear flow edm", s, " ")
            print "| solver | cosine 10 | 20 | 50 | linear 10 | 20 | 50 | flow 10 | 20 | 50 |" \
                " EDM 10 | 20 | 50 |"
            print "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
            for (i = 1; i <= n; i++) {
                line = "| " solver[i] " | "
                for (j = 1; j <= 4; j++)
                    line = line cell(s[j], solver[i], 10) cell(s[j], solver[i], 20) \
                        cell(s[j], solver[i], 50)
                sub(/ $/, "", line)
                print line
            }
            line = "| the data itself |"
            for (j = 1; j <= 4; j++)
                line = line (s[j] " real" in mean ? \
                    sprintf(" | %.1f | |", mean[s[j] " real"]) : " | | |")
            print line
            print ""
            for (j = 1; j <= 4; j++)
                if (s[j] " ddim" in mean)
                    printf "DDIM in 20 steps on %s, four draws: %.1f, standard deviation %.2f; " \
                        "the data itself: %.1f, %.2f.\n", s[j], mean[s[j] " ddim"], \
                        deviation[s[j] " ddim"], mean[s[j] " real"], deviation[s[j] " real"]
        }'
}

image_table() {
    table '
        function print_table(   i, j, line, s, path, drawn, name) {
            split("cosine linear flow edm", s, " ")
            for (i = split(images, path, " "); i >= 1; i--) drawn[path[i]] = 1
            print "| solver | cosine | linear | flow | EDM |"
            print "|---|---|---|---|---|"
            for (i = 1; i <= n; i++) {
                line = "| " solver[i] " |"
                for (j = 1; j <= 4; j++) {
                    name = s[j] "-" solver[i] ".png"
                    line = line (name in drawn ? " ![](images/solvers/" name ") |" : " - |")
                }
                print line
            }
        }'
}

settings_table() {
    table '
        function cells(solver, words,   j, k, line) {
            split("cosine linear", s, " ")
            for (j = 1; j <= 2; j++)
                for (k = 10; k <= 20; k += 10)
                    line = line " " value(s[j] " " solver " " k " " words) " |"
            return line
        }
        function usual(solver) {
            if (solver == "ddpm") return "fixed_small"
            if (solver ~ /^(pndm|plms)$/) return "leading, timesteps"
            return solver ~ /^(heun|dpm2)$/ ? "trailing, exponential" : "trailing, timesteps"
        }
        function print_table(   i, line, m, row, last) {
            print "| solver | setting | cosine 10 | 20 | linear 10 | 20 |"
            print "|---|---|---|---|---|---|"
            m = split("'"$(echo "$other" | tr '\n' ,)"'", line, ",")
            for (i = 1; i < m; i++) {
                split(line[i], row, " ")
                if (row[1] != last)
                    print "| " row[1] " | **" usual(row[1]) "** |" cells(row[1], "auto auto auto")
                last = row[1]
                print "| | " (row[2] == "auto" ? row[4] : row[2] ", " row[3]) " |" \
                    cells(row[1], row[2] " " row[3] " " row[4])
            }
        }'
}

tables() {
    printf '\n## Distances, with the default settings\n\n'
    distance_table
    printf '\n## Images, with the default settings\n\n'
    printf 'Rows of 10, 20 and 50 steps, the same seeds.\n\n'
    image_table
    printf '\n## Other settings\n\nThe defaults in bold.\n\n'
    settings_table
}

for schedule in $schedules; do
    train "$schedule"
    spread "$schedule"
    matrix "$schedule"
    case $schedule in cosine | linear) settings "$schedule" ;; esac
done
marker='<!-- Written by docs/solvers.sh from here on. -->'
{
    awk -v marker="$marker" '{ print } $0 == marker { exit }' docs/solvers.md
    tables
} >"$work/solvers.md"
cp "$work/solvers.md" docs/solvers.md
