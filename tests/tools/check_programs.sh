#!/bin/sh
# SPDX-License-Identifier: MIT
# The example programs write files through examples/output.c, which checks every write, and handle
# signals through examples/interrupt.c; each begins and ends with their functions. Run from the
# repository root.
set -eu
bad=0
# only FILES REGEX: lines outside these files, names separated by '|', must not match.
only() {
    lines=$(grep -nE "(^|[^_a-zA-Z])($2)" examples/*.c | grep -vE "^examples/($1)\.c:" || true)
    [ -z "$lines" ] && return
    printf 'check_programs: this belongs in examples/%s.c:\n%s\n' "$1" "$lines" >&2
    bad=1
}
only output 'fopen *\(.*"([wa]|r\+)|(freopen|fdopen|open|creat|setvbuf|rename|fwrite|dprintf|write) *\('
only 'output|profile_table' 'fflush *\('
only cli 'mkdir *\('
only 'interrupt|output' '(signal|sigaction|raise|kill) *\('
for program in demo train_cifar10 sample distance evaluate step_loop; do
    for call in open_standard_streams ignore_write_signals interrupt_begin interrupt_exit_status; do
        grep -q "$call(" examples/$program.c && continue
        echo "check_programs: examples/$program.c does not call $call" >&2
        bad=1
    done
done
[ $bad = 0 ] || exit 1
echo "check_programs: ok"
