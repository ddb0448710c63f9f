#!/bin/sh
# Runs suites of the test runner under an emulator, the given ones or all that prove kernels; fails where one fails or proves
# nothing.  emulated.sh RUNNER 'EMULATOR...' [suite...]
set -eu
runner=$1
emulator=$2
shift 2
[ $# -gt 0 ] || set -- kernels 'group norm kernels' 'softmax kernels' random optim gemm conv "convolution's gradients" attention \
    'group norm' ops ops_torch graph plan unet unet_torch
export CK_TIMEOUT_MULTIPLIER=60
failed=
echo "$emulator"
for suite in "$@"; do
    # The words of the emulator are meant to be split.
    # shellcheck disable=SC2086
    if said=$(CK_RUN_SUITE=$suite $emulator "$runner" 2>&1) && echo "$said" | grep -q 'Checks: [1-9]'; then
        echo "  $suite: $(echo "$said" | grep 'Checks: ')"
    else
        printf '  %s failed:\n%s\n' "$suite" "$said" >&2
        failed="$failed '$suite'"
    fi
done
if [ -n "$failed" ]; then
    echo "$emulator: failed:$failed" >&2
    exit 1
fi
