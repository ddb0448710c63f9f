#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs fuzz targets one after another: run.sh BUILD SECONDS RUNS TARGET... from the repository root.
# Each runs for SECONDS, or for RUNS executions if that is not empty, on the committed corpus and on
# what earlier runs found (BUILD/corpus/TARGET). One line for each target. An input that fails is
# copied to tests/fuzz/reproducers/TARGET, and the script fails when all have run.
set -eu
build=$1 seconds=$2 runs=$3
shift 3
here=tests/fuzz
work=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
UBSAN_OPTIONS=print_stacktrace=1; export UBSAN_OPTIONS
# Short stacks of allocations, for speed; the default when a failing input is run again.
ASAN_OPTIONS=malloc_context_size=4:quarantine_size_mb=16; export ASAN_OPTIONS
TMPDIR=$work; export TMPDIR
failed=
for target in "$@"; do
    found=$build/corpus/$target artifacts=$build/artifacts/$target log=$build/$target.log
    mkdir -p "$found" "$artifacts" "$here/corpus/$target"
    rm -f "$artifacts"/*
    set -- "$found" "$here/corpus/$target"
    [ ! -d "$here/reproducers/$target" ] || set -- "$@" "$here/reproducers/$target"
    [ ! -f "$here/$target.dict" ] || set -- "-dict=$here/$target.dict" "$@"
    # Weighing inputs by rare features takes longer than an execution of this target.
    [ "$target" != options ] || set -- -entropic=0 "$@"
    if [ -n "$runs" ]; then set -- "-runs=$runs" "$@"
    else set -- "-max_total_time=$seconds" "$@"; fi
    case $target in
        calls | options | png | cifar_bin) length=256 ;;
        metadata | config) length=2000 ;;
        picture) length=4000 ;;
        *) length=60000 ;;
    esac
    status=0
    "$build/fuzz_$target" "-max_len=$length" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -detect_leaks=1 "-artifact_prefix=$artifacts/" "$@" > "$log" 2>&1 || status=$?
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    failures=0
    for input in "$artifacts"/*; do
        [ -f "$input" ] || continue
        failures=$((failures + 1))
        mkdir -p "$here/reproducers/$target"
        cp "$input" "$here/reproducers/$target/"
        echo "fuzz: $target: failed; to see it again:" \
            "$build/fuzz_$target $here/reproducers/$target/${input##*/}" >&2
    done
    if [ $failures = 0 ] && [ $status != 0 ]; then failures=1; fi
    files=$(find "$found" -type f | wc -l)
    echo "fuzz: $target: ${executions:-?} executions, $failures failures," \
        "corpus $files files, coverage ${edges:-?} edges"
    if [ $failures != 0 ]; then
        failed="$failed $target"
        echo "fuzz: $target: the end of $log:" >&2
        grep -nE 'ERROR|runtime error|not true|SUMMARY|^    #[0-9] ' "$log" | head -n 20 >&2 || true
    fi
done
[ -z "$failed" ] || { echo "fuzz: failed:$failed" >&2; exit 1; }
