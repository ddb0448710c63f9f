#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the library in BUILD so that gcov counts its lines and branches, runs the suites, the
# clients of tests/abi and check_alloc with it, and prints what they covered: see report.py.
#   SUITES='suite...' coverage.sh CC BUILD [PART...]
# PART: part of the names of files whose uncovered lines and branches are listed.
# Run from the repository root. With COVERAGE_RUN=0 only the report of the last run is printed.
set -eu
cc=$1
build=$2
shift 2
here=$(dirname "$0")
command -v python3 >/dev/null || {
    echo "coverage: python3 is missing" >&2
    exit 1
}
# The words of CC are meant to be split.
# shellcheck disable=SC2086
if echo __clang__ | $cc -E - | grep -q '^1'; then
    echo "coverage: CC is clang; it must be gcc" >&2
    exit 1
fi

run_all() {
    $MAKE BUILD="$build" COUNTED=1 CFLAGS="-O1 -g" library "$build/run_tests" "$build/check_alloc"
    find "$build" -name '*.gcda' -exec rm -f {} +
    # The words of SUITES are meant to be split.
    # shellcheck disable=SC2086
    DM_TEST_BUILD=$build CK_EXCLUDE_TAGS=exhaustive CK_TIMEOUT_MULTIPLIER=20 \
        sh tests/tools/run_suites.sh "$build/run_tests" '' $SUITES
    sh tests/abi/clients.sh "$cc" "$build"
    sh tests/alloc/check.sh "$build"
}
[ "${COVERAGE_RUN:-1}" = 0 ] || run_all
python3 "$here/report.py" "${GCOV:-gcov}" "$build" "$here/exceptions.txt" "$@"
