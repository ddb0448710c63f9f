#!/bin/sh
# SPDX-License-Identifier: MIT
# Compares the library with diffusers, where python3 (or $PYTHON) has torch and diffusers.
# check.sh LIBRARY SCRIPT [ARGUMENTS]
set -eu
library=$1
script=$2
shift 2
python=${PYTHON:-python3}
if ! "$python" -c 'import torch, diffusers' 2>/dev/null; then
    echo "diffusers: left out, $python has no torch or diffusers (pip install torch diffusers)"
    exit 0
fi
LIBDIFFUSION_LIBRARY=$(cd "$(dirname "$library")" && pwd)/$(basename "$library")
PYTHONPATH=examples/python/src${PYTHONPATH:+:$PYTHONPATH}
export LIBDIFFUSION_LIBRARY PYTHONPATH
PYTHONDONTWRITEBYTECODE=1 exec "$python" "tests/diffusers/$script" "$@"
