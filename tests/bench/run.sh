#!/bin/sh
# Runs the benchmark, beside PyTorch where PYTHON (python3) can import it.  run.sh BUILD [base [batch [size [threads [runs]]]]]
set -eu
bench=$1/bench
shift
python=${PYTHON:-python3}
peer=""
if "$python" -c 'import torch' 2>/dev/null; then peer="$python tests/bench/peer_torch.py"; fi
exec "$bench" "${1:-64}" "${2:-16}" "${3:-32}" "${4:-0}" "${5:-7}" "$peer"
