#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the wheel into a new environment, which has no other package but those that pip fetches
# for it, and runs the first program of examples/python/README.md there.  wheel.sh WORK
set -eu
work=$1/wheel
rm -rf "$work"
mkdir -p "$work"
work=$(cd "$work" && pwd)
log=$work/log
quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }; }
unset LIBDIFFUSION_LIBRARY PYTHONPATH LD_LIBRARY_PATH
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    echo "wheel: left out, no python3 with venv"
    exit 0
fi
quietly python3 -m venv "$work/venv"
quietly "${MAKE:-make}" --no-print-directory wheel OUT="$work/out"
quietly "$work/venv/bin/pip" install -q "$work"/out/wheel/*.whl
awk '/^```/ { if (on) exit; on = $0 == "```python"; next } on' examples/python/README.md \
    >"$work/program.py"
cd "$work"
quietly venv/bin/python program.py
[ "$(od -An -tx1 -N8 out.png | tr -d ' ')" = 89504e470d0a1a0a ] || {
    echo "wheel: the program of the README wrote no PNG" >&2
    exit 1
}
lines=$(wc -l <program.py)
echo "wheel: ok, $(basename out/wheel/*.whl): the README's $lines lines train and draw"
