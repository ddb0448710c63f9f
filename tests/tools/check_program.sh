#!/bin/sh
# SPDX-License-Identifier: MIT
# The program writes files through console/output.c, which checks every write, and handles signals
# through console/interrupt.c; its commands begin and end with their functions. Its includes never
# point upward. Run from the repository root.
set -eu
cd examples/diffusion
bad=0
# only FILES REGEX: lines outside these files, names separated by '|', must not match.
only() {
    lines=$(grep -nE "(^|[^_a-zA-Z>.])($2)" ./*/*.c | grep -vE "^\./[a-z]*/($1)\.c:" || true)
    [ -z "$lines" ] && return
    printf 'check_program: this belongs in %s.c:\n%s\n' "$1" "$lines" >&2
    bad=1
}
only 'output|events|npz|terminal_sixel|terminal_picture|run_folder|files' \
    'fopen *\(.*"([wa]|r\+)|(freopen|fdopen|open|creat|setvbuf|rename|fwrite|dprintf|write) *\('
only 'output|profile_table|events' 'fflush *\('
only 'files' 'mkdir *\('
only 'interrupt|output|terminal_picture' '(signal|sigaction|raise|kill) *\('
for command in demo/demo train/train sample/sample evaluate/distance evaluate/evaluate; do
    for call in ignore_write_signals interrupt_begin interrupt_exit_status; do
        grep -q "$call(" $command.c && continue
        echo "check_program: $command.c does not call $call" >&2
        bad=1
    done
done
grep -q 'open_standard_streams(' main.c || bad=1

# A file may include its own folder and folders of a lower rank.
ranks="console 0 command 1 picture 2 data 3 measure 3 report 3 model 4 sample 5 evaluate 6 train 6 demo 6"
up=$(grep -nE '^ *# *include +"' ./*/*.[ch] | awk -v ranks="$ranks" '
    BEGIN { n = split(ranks, pairs, " "); for (i = 1; i <= n; i += 2) rank[pairs[i]] = pairs[i + 1] }
    {
        split($0, path, "/")
        target = $0; sub(/^[^"]*"/, "", target); sub(/\/.*/, "", target)
        from = path[2]
        if (!(from in rank) || !(target in rank)) print $0 ": its folder has no rank"
        else if (from != target && rank[target] > rank[from]) print $0
    }')
if [ -n "$up" ]; then
    printf 'check_program: an include points upward:\n%s\n' "$up" >&2
    bad=1
fi
[ $bad = 0 ] || exit 1
echo "check_program: ok"
