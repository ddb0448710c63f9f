#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs every block of code in docs/guide, page by page in one folder, with few steps and pictures, and
# checks the links between pages.  guide.sh BUILD [PAGE...]: only these pages, as 02-first-pictures
#
# A comment above a block says what it is:
#   <!-- file: NAME -->              it is that file, which commands of the page use
#   <!-- file: NAME, test: X=3 -->   likewise, compiled with -DX=3, so that the test is short
#   <!-- output -->                  the standard output of the commands before, exactly
#   <!-- output but numbers -->      lines that these print, with other numbers
#   <!-- needs: WORD... -->          is run where these commands and Python modules are
#   <!-- not run: REASON -->
# Blocks of sh are run. Others without a comment are refused, but text, which a person has copied.
set -eu
build=$(cd "$1" && pwd)
shift
guide=$(cd "$(dirname "$0")/../../docs/guide" && pwd)
root=$(cd "$guide/../.." && pwd)
out=$build/tmp/guide
rm -rf "$out"
mkdir -p "$out/bin" "$out/blocks" "$out/flags" "$out/work"

fail() {
    echo "guide: $1" >&2
    exit 1
}
real_cc=${CC:-cc} # perhaps with words before or after it, as "ccache gcc"
command -v "${real_cc%% *}" >/dev/null || fail "there is no compiler"
real_python=$(command -v "${PYTHON:-python3}" || echo none)
real=$build/diffusion

# ---- programs that do less than they are told ----

# Without an installed model, one with the same classes takes its place.
if ! "$real" info >/dev/null 2>&1; then
    tree=$out/tree
    mkdir -p "$tree/build" "$tree/examples/diffusion/model"
    cp "$real" "$tree/build"
    for file in "$build"/libdiffusion.so*; do ln -s "$file" "$tree/build"; done
    real=$tree/build/diffusion
    "$real" train builtin --steps 2 --batch 4 --samples 0 --out "$out/stand-in" \
        >"$out/stand-in.txt" 2>&1 || fail "no model: $(cat "$out/stand-in.txt")"
    "$real" convert "$out/stand-in" "$tree/examples/diffusion/model/cifar10.safetensors" \
        --class-names airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck \
        >"$out/stand-in.txt" 2>&1 || fail "no model: $(cat "$out/stand-in.txt")"
fi

# A thousandth of the training steps, few steps and pictures in sampling.
cat >"$out/bin/diffusion" <<EOF
#!/bin/sh
real='$real'
EOF
cat >>"$out/bin/diffusion" <<'EOF'
command=${1:-} previous='' left=$# given=' '
while [ "$left" -gt 0 ]; do
    word=$1
    shift
    case $command$previous in
    train--evaluate-every) word=4 ;;
    train--steps | train--lr-steps | distill--steps | distill--lr-steps)
        [ "$word" = 0 ] || word=$(((word + 999) / 1000)) ;;
    sample--steps)
        # Up to 20 they stay, so that pictures can be compared with those of other programs.
        case $word in ? | 1? | 20) ;; *) word=$(echo "$word" | sed 's/[0-9]*[0-9]/2/g') ;; esac ;;
    distance--steps | distance--repeat) word=2 ;;
    sample--count) [ "$word" -lt 2 ] || word=2 ;;
    distance--count | evaluate--count) word=4 ;;
    train--evaluate-count) word=16 ;;
    train--batch | distill--batch) word=4 ;;
    esac
    case $word in --*) given="$given$word " ;; esac
    previous=$word
    set -- "$@" "$word"
    left=$((left - 1))
done
# default OPTION VALUE: unless it is given. The command's other words are in "$@".
default() { case $given in *" $1 "*) ;; *) options="$options $1 $2" ;; esac; }
options=''
case $given in *' --help '* | *' --version '*) command='' ;; esac
case $command in
train | distill)
    case $given in *' --epochs '* | *' --resume '*) ;; *) default --steps 3 ;; esac
    for option in '--batch 4' '--samples 2' '--sample-steps 2' '--warmup 0'; do default $option; done
    case $given in *' --evaluate-every '*) default --evaluate-count 16 ;; esac ;;
sample) default --count 2 && default --steps 2 ;;
distance) default --count 4 && default --steps 2 ;;
evaluate) default --count 4 && default --timesteps 2 ;;
demo) options='--minutes 0.01 --steps 2' ;;
esac
exec "$real" "$@" $options
EOF
cat >"$out/bin/cc" <<EOF
#!/bin/sh
for word; do
    case \$word in
    *.c) [ ! -f "$out/flags/\$word" ] || defines=\$(cat "$out/flags/\$word") ;;
    esac
done
# ccache looks for the compiler on the PATH, where this script must not be.
PATH="$PATH" exec $real_cc -std=c11 -Wall -Wextra -Werror \${defines:-} "\$@"
EOF
printf '#!/bin/sh\nexec "%s" "$@"\n' "$real_python" >"$out/bin/python3"
chmod +x "$out/bin"/*
export PATH="$out/bin:$PATH" PKG_CONFIG_PATH="$build" LD_LIBRARY_PATH="$build" COLUMNS=80
export PYTHONPATH="$root/examples/python/src" PYTHONDONTWRITEBYTECODE=1
export LIBDIFFUSION_LIBRARY="$build/libdiffusion.so.0"

# ---- the files that the reader has ----

cd "$out/work"
for class in cat dog ship; do
    mkdir -p photos/$class other-photos/$class
    "$real" sample --class $class --steps 2 --count 8 --out grid.png --each photos/$class \
        >"$out/photos.txt" 2>&1 || fail "no photos: $(cat "$out/photos.txt")"
    cp photos/$class/0000[0-3].png other-photos/$class
done
cp -r photos sketches
cp photos/cat/00000.png cat.png
cp photos/dog/00001.png mask.png
rm grid.png
# What a make install would put below a prefix.
prefix=$out/prefix
if command -v cmake >/dev/null; then
    mkdir -p "$prefix/lib/cmake/diffusion" "$prefix/include"
    cp "$root"/include/diffusion.h "$prefix/include"
    for file in "$build"/libdiffusion.*; do ln -s "$file" "$prefix/lib"; done
    name=$(basename "$(readlink "$build/libdiffusion.so.0")")
    version=${name#libdiffusion.so.}
    (cd "$root" && sh pkgconfig/write-cmake.sh "$prefix/lib" "$prefix/include" "$version" \
        "$prefix/lib/$name" libdiffusion.so.0 none 8 "$prefix/lib/cmake/diffusion") ||
        fail "no package for CMake"
    export CMAKE_PREFIX_PATH="$prefix"
fi

# ---- blocks ----

# Writes each block of a page to $out/blocks/PAGE-LINE.LANGUAGE, and prints that name, a tab and the
# comment above it.
blocks_of() {
    awk -v folder="$out/blocks" -v page="$(basename "$1" .md)" '
        function close_block() { close(name); printf "%s\t%s\n", name, comment; comment = "" }
        inside && /^```$/ { inside = 0; close_block(); next }
        inside { print > name; next }
        /^```/ {
            language = substr($0, 4)
            if (language == "") language = "plain"
            name = sprintf("%s/%s-%03d.%s", folder, page, NR, language)
            printf "" > name
            inside = 1
            next
        }
        /^<!-- .* -->$/ { comment = substr($0, 6, length($0) - 9); next }
        /./ { comment = "" }
        END { if (inside) { print "no end of the block at " name > "/dev/stderr"; exit 1 } }
    ' "$1"
}
where() { basename "$1" | sed 's/\(.*\)-0*\([0-9]*\)\..*/\1.md:\2/'; }
# Whether all of these commands and Python modules are here.
has() {
    for need; do
        command -v "$need" >/dev/null || python3 -c "import $need" >/dev/null 2>&1 || return 1
    done
}
run_block() {
    sh -eu "$1" >"$out/stdout" 2>"$out/stderr" </dev/null ||
        fail "$(where "$1") failed: $(cat "$1" "$out/stdout" "$out/stderr")"
}
write_file() {
    name=${2#file: }
    case $name in
    *', test: '*)
        flags=${name#*, test: }
        name=${name%%, test: *}
        for flag in $flags; do printf ' -D%s' "$flag"; done >"$out/flags/$name"
        ;;
    esac
    cp "$1" "$name"
}
without_numbers() {
    sed 's/\(hash  *\)[0-9a-f]*/\1#/; s/[0-9][0-9.]*\(e[-+]*[0-9]*\)*/#/g; s/ *$//'
}
# Each line of the block is in what the commands printed, with other numbers; ... stands for
# anything. Lines of progress are not compared.
check_lines() {
    cat "$out/stdout" "$out/stderr" | tr '\r' '\n' | without_numbers >"$out/printed"
    grep -v -e ' \[' -e '^ *\.\.\.$' "$1" | sed 's/\.\.\./@@@/g' | without_numbers |
        sed 's/[][\\.*^$]/\\&/g; s/@@@/.*/g' >"$out/expected"
    while read -r line; do
        grep -q -e "$line" "$out/printed" ||
            fail "$(where "$1"): '$line' is not printed: $(cat "$out/stdout" "$out/stderr")"
    done <"$out/expected"
}
skip=0
handle() {
    language=${1##*.}
    case $2 in
    file:*) write_file "$1" "$2" && return ;;
    'not run: '*) return ;;
    needs:*)
        # The words are meant to be split.
        # shellcheck disable=SC2086
        if ! has ${2#needs: }; then
            echo "guide: left out $(where "$1"), which needs ${2#needs: }"
            skip=1
            return
        fi
        ;;
    esac
    case $language:$2 in
    sh:*) skip=0 && run_block "$1" ;;
    text:output) [ $skip = 1 ] || cmp "$1" "$out/stdout" || fail "$(where "$1"): another output" ;;
    'text:output but numbers') [ $skip = 1 ] || check_lines "$1" ;;
    text:) ;;
    *) fail "$(where "$1"): neither run nor a file: '$language' with '$2'" ;;
    esac
}

# ---- links ----

# The anchors of a page, as code hosts make them from its headings.
anchors_of() {
    sed -n 's/^##* *//p' "$1" | tr '[:upper:] ' '[:lower:]-' | tr -cd 'a-z0-9_\n-'
}
check_links() {
    grep -o '](\([^)]*\))' "$1" | sed 's/^](//; s/)$//' | sort -u >"$out/links"
    while read -r link; do
        file=${link%%#*}
        case $link in http*) continue ;; '#'*) file=$(basename "$1") ;; esac
        [ -e "$guide/$file" ] || fail "$(basename "$1") links to $file, which does not exist"
        case $link in
        *.md'#'* | '#'*)
            anchors_of "$guide/$file" | grep -qx -e "${link#*#}" ||
                fail "$(basename "$1"): there is no heading ${link#*#} in $file"
            ;;
        esac
    done <"$out/links"
}

count=0
tab=$(printf '\t')
for file in "$guide"/index.md "$guide"/[0-9]*.md; do
    page=$(basename "$file" .md)
    case " ${*:-$page} " in *" $page "*) ;; *) continue ;; esac
    check_links "$guide/$page.md"
    blocks_of "$guide/$page.md" >"$out/list" || fail "$page"
    while IFS="$tab" read -r block comment <&3; do
        begin=$(date +%s)
        handle "$block" "$comment"
        count=$((count + 1))
        [ -z "${GUIDE_TIMES:-}" ] || echo "$(($(date +%s) - begin)) s  $(where "$block")"
    done 3<"$out/list"
done
echo "guide: ok, $count blocks"
