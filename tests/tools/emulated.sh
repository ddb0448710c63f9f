#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the given suites under an emulator, or without any given all that test kernels.
# emulated.sh RUNNER 'EMULATOR...' [suite...]
set -eu
runner=$1
emulator=$2
shift 2
[ $# -gt 0 ] || set -- kernels kernels_norm kernels_softmax random optim gemm conv conv_gradient \
    attention group_norm ops ops_torch graph plan unet unet_torch
export CK_TIMEOUT_MULTIPLIER=60
echo "$emulator"
sh "$(dirname "$0")/run_suites.sh" "$runner" "$emulator" "$@"
