#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs suites of the test runner, JOBS (the number of processors) at a time, each under WRAPPER (an
# emulator, valgrind) unless that is empty, and prints Check's result for each as it ends. Fails
# where a suite fails or does not exist.
#   run_suites.sh RUNNER 'WRAPPER...' suite[/case]...
set -eu
if [ "$1" = --one ]; then
    runner=$2 wrapper=$3 suite=$4
    case $suite in
    */*) export CK_RUN_CASE="${suite#*/}" ;;
    esac
    # The words of the wrapper are meant to be split.
    # shellcheck disable=SC2086
    if output=$(CK_RUN_SUITE=${suite%%/*} $wrapper "$runner" 2>&1) &&
        echo "$output" | grep -q 'Checks: [1-9]'; then
        echo "  $suite: $(echo "$output" | grep 'Checks: ')"
    else
        printf '  %s failed or has no check:\n%s\n' "$suite" "$output" >&2
        exit 1
    fi
    exit 0
fi
runner=$1 wrapper=$2
shift 2
[ $# -gt 0 ] || {
    echo "run_suites.sh: no suite is named" >&2
    exit 1
}
printf '%s\n' "$@" |
    xargs -P "${JOBS:-$(getconf _NPROCESSORS_ONLN)}" -I{} sh "$0" --one "$runner" "$wrapper" {} || {
    echo "run_suites.sh: a suite failed" >&2
    exit 1
}
