#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the package into an environment in WORK, and runs its tests, draw_shapes.py and
# walkthrough.py with the library installed under PREFIX.  check.sh PREFIX WORK
set -eu
prefix=$1
work=$(cd "$2" && pwd)
log=$work/log

missing() {
    echo "$1"
    exit 77
}
# Runs a command, and shows what it said if it fails.
quietly() {
    "$@" >"$log" 2>&1 || {
        status=$?
        echo "failed: $*" >&2
        cat "$log" >&2
        exit $status
    }
}

command -v python3 >/dev/null 2>&1 || missing "no python3"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' || missing "no python3 from 3.9 on"

LD_LIBRARY_PATH=$prefix/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
LIBDIFFUSION_HEADER=$prefix/include/diffusion.h
PYTHONPYCACHEPREFIX=$work/pycache
PIP_DISABLE_PIP_VERSION_CHECK=1
export LD_LIBRARY_PATH LIBDIFFUSION_HEADER PYTHONPYCACHEPREFIX PIP_DISABLE_PIP_VERSION_CHECK
unset LIBDIFFUSION_LIBRARY PYTHONPATH

python=$work/venv/bin/python
if python3 -c 'import numpy' 2>/dev/null; then
    python3 -m venv --system-site-packages "$work/venv" >"$log" 2>&1 || missing "no python3 venv"
else
    python3 -m venv "$work/venv" >"$log" 2>&1 || missing "no python3 venv"
    "$python" -m pip install -q numpy >"$log" 2>&1 || missing "no numpy"
fi

# pip builds in the folder that it is given, hence a copy.
cp -R examples/python "$work/source"
"$python" -c 'import setuptools.command.bdist_wheel' 2>/dev/null ||
    "$python" -c 'import setuptools, wheel' 2>/dev/null ||
    "$python" -m pip install -q setuptools wheel >"$log" 2>&1 || missing "no setuptools with wheel"
quietly "$python" -m pip install -q --no-deps --no-build-isolation "$work/source"

quietly "$python" -m unittest discover -s examples/python/tests
if "$python" -c 'import mypy' 2>/dev/null; then
    (cd "$work/source" && quietly "$python" -m mypy --cache-dir "$work/mypy")
fi
quietly "$python" examples/python/draw_shapes.py 20 "$work/shapes.png"
quietly "$python" examples/python/walkthrough.py "$work/model.safetensors" "$work/walkthrough.png"
