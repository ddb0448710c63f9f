#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs into folders of its own and builds a program against it: shared, static, without
# installing, through DESTDIR, with other folders of libraries, and with CMake.  run.sh CC BUILD
set -eu
cc=$1 build=$2
make=${MAKE:-make}
stage=$(cd "$build" && pwd)/stage
rm -rf "$stage"
mkdir "$stage"
fail() {
    echo "install: $1" >&2
    exit 1
}
# quietly COMMAND...: its output only if it fails.
quietly() { "$@" >"$stage/log" 2>&1 || { cat "$stage/log" >&2; exit 1; }; }
run_make() { quietly "$make" --no-print-directory BUILD="$build" LDCONFIG=true "$@"; }

# ---- with pkg-config ----

usr=$stage/usr
run_make install PREFIX="$usr"
export PKG_CONFIG_PATH="$usr/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
# The flags that pkg-config prints are meant to be split.
# shellcheck disable=SC2046
$cc tests/install/app.c $(pkg-config --cflags --libs diffusion) -o "$stage/app"
LD_LIBRARY_PATH="$usr/lib" "$stage/app"
# shellcheck disable=SC2046
$cc tests/install/app.c $(pkg-config --cflags diffusion) "$usr/lib/libdiffusion.a" \
    $(pkg-config --static --libs diffusion | sed 's/-ldiffusion//') -o "$stage/app-static"
"$stage/app-static" >/dev/null
sh pkgconfig/make-cdef.sh include/diffusion.h | cmp - "$usr/include/diffusion_cdef.h"
# Only the prefix is absolute.
if grep -v '^prefix=' "$usr/lib/pkgconfig/diffusion.pc" | grep -q '[ =]/'; then
    fail "diffusion.pc has an absolute path: $(cat "$usr/lib/pkgconfig/diffusion.pc")"
fi

# Without installing.
# shellcheck disable=SC2046
$cc tests/install/app.c $(PKG_CONFIG_PATH=$build pkg-config --cflags --libs diffusion) \
    -o "$stage/app-uninstalled"
LD_LIBRARY_PATH=$build "$stage/app-uninstalled" >/dev/null

# ---- folders ----

# Names with spaces: pkg-config escapes them, and eval takes the escapes away again.
run_make install PREFIX="$stage/a usr"
flags=$(PKG_CONFIG_PATH="$stage/a usr/lib/pkgconfig" pkg-config --cflags --libs diffusion)
eval "$cc tests/install/app.c $flags -o '$stage/app-spaces'"
LD_LIBRARY_PATH="$stage/a usr/lib" "$stage/app-spaces" >/dev/null
run_make install PREFIX="/a usr" DESTDIR="$stage/a dest"
grep -q '^prefix=/a usr$' "$stage/a dest/a usr/lib/pkgconfig/diffusion.pc" || fail "no prefix"

# The programs find the library in any folder: relative ones are below PREFIX.
# Each: PREFIX, LIBDIR, BINDIR, the programs' RUNPATH.
while read -r prefix lib bin runpath; do
    dest=$stage/dest$prefix
    case $prefix in
    /moved) to="PREFIX=$stage/dest$prefix" ;;
    *) to="PREFIX=$prefix DESTDIR=$stage/dest" ;;
    esac
    # shellcheck disable=SC2086 # words
    run_make install $to LIBDIR="$lib" BINDIR="$bin"
    program=$dest/${bin#"$dest"}/diffusion
    found=$(readelf -d "$program" | sed -n 's/.*RUNPATH.*\[\(.*\)\]/\1/p')
    [ "$found" = "${runpath#-}" ] || fail "RUNPATH for $prefix $lib $bin: '$found', not '$runpath'"
    [ -z "$found" ] || quietly "$program" --help
    # shellcheck disable=SC2086
    run_make uninstall $to LIBDIR="$lib" BINDIR="$bin"
    [ ! -e "$dest" ] || [ -z "$(find "$dest" -mindepth 1)" ] ||
        fail "uninstall left $(find "$dest" -mindepth 1)"
done <<END
/opt/a lib bin \$ORIGIN/../lib
/opt/b lib64 bin \$ORIGIN/../lib64
/opt/c lib/deep/er games/bin \$ORIGIN/../../lib/deep/er
/opt/d . . \$ORIGIN
/moved lib64 bin \$ORIGIN/../lib64
/usr lib bin -
END
for root in "$stage/a dest/a usr" "$stage/a usr"; do
    case $root in
    *dest*) run_make uninstall PREFIX="/a usr" DESTDIR="$stage/a dest" ;;
    *) run_make uninstall PREFIX="$root" ;;
    esac
    [ -z "$(find "$root" -mindepth 1)" ] || fail "uninstall left $(find "$root" -mindepth 1)"
done
# A folder that others use too stays.
mkdir -p "$stage/shared/lib/pkgconfig"
touch "$stage/shared/lib/pkgconfig/other.pc"
run_make install-lib PREFIX="$stage/shared"
run_make uninstall PREFIX="$stage/shared"
[ "$(cd "$stage/shared" && find . -type f)" = ./lib/pkgconfig/other.pc ] || fail "other.pc is gone"

# ---- what the library alone needs ----

run_make install-lib PREFIX="$stage/alone" EXAMPLE_PACKAGES="no-libpng no-libjpeg"
[ ! -e "$stage/alone/bin" ] || fail "install-lib installed programs"

sh tests/install/cmake.sh "$usr" "$stage"
echo "install: ok"
