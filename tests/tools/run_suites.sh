#!/bin/sh
# Runs suites of the test runner one after another, each under WRAPPER (an emulator, valgrind) unless
# that is empty, and prints Check's result for each. Fails where a suite fails or does not exist.
# run_suites.sh RUNNER 'WRAPPER...' suite...
set -eu
runner=$1
wrapper=$2
shift 2
failed=
for suite in "$@"; do
    # The words of the wrapper are meant to be split.
    # shellcheck disable=SC2086
    if output=$(CK_RUN_SUITE=$suite $wrapper "$runner" 2>&1) &&
        echo "$output" | grep -q 'Checks: [1-9]'; then
        echo "  $suite: $(echo "$output" | grep 'Checks: ')"
    else
        printf '  %s failed:\n%s\n' "$suite" "$output" >&2
        failed="$failed $suite"
    fi
done
if [ -n "$failed" ]; then
    echo "failed or without any check:$failed" >&2
    exit 1
fi
