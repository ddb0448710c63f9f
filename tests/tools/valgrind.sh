#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs suites under valgrind; invalid accesses, uninitialised values and leaks fail them. Scheduling
# is fair because the pool's threads wait for each other.  valgrind.sh RUNNER suite...
set -eu
runner=$1
shift
export CK_FORK=no CK_TIMEOUT_MULTIPLIER=50 CK_EXCLUDE_TAGS="slow exhaustive"
valgrind="valgrind -q --fair-sched=yes --leak-check=full --error-exitcode=9"
valgrind="$valgrind --errors-for-leak-kinds=definite,indirect,possible"
sh "$(dirname "$0")/run_suites.sh" "$runner" "$valgrind" "$@"
echo "valgrind: ok"
