#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the benchmark, beside PyTorch where PYTHON (python3) can import it.  run.sh BUILD [option...]; see BUILD/bench --help
set -eu
bench=$1/bench
shift
python=${PYTHON:-python3}
if "$python" -c 'import torch' 2>/dev/null; then
    exec "$bench" --python "$python" --baseline "$(dirname "$0")/peer_torch.py" "$@"
fi
exec "$bench" "$@"
