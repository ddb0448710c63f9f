#!/bin/sh
# SPDX-License-Identifier: MIT
# Tests each example in another language on a system of its own: a minimal Debian in BUILD/clean
# that has just the packages that the example's README names, those that the library needs to be
# linked, and the library, with BLAS=none, in /usr/local. Needs root and debootstrap, which fetches
# Debian from the server of this system.  clean_systems.sh BUILD LANGUAGE...
set -eu
build=$1
shift
mkdir -p "$build/clean"
clean=$(cd "$build/clean" && pwd)
log=$clean/log
quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }; }
command -v debootstrap >/dev/null || { echo "clean systems: left out, no debootstrap"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "clean systems: left out, not root"; exit 0; }
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
server=$(sed -n 's/^\(deb\|URIs:\) *\(\[[^]]*\] *\)\?\(http[^ ]*\).*/\3/p' /etc/apt/sources.list \
    /etc/apt/sources.list.d/* 2>/dev/null | grep -v security | head -n 1)

if [ ! -f "$clean/base.tar" ]; then
    rm -rf "$clean/base"
    quietly debootstrap --variant=minbase "$release" "$clean/base" \
        "${server:-http://deb.debian.org/debian}"
    cp /etc/resolv.conf "$clean/base/etc"
    cp -R /etc/apt/apt.conf.d "$clean/base/etc/apt"
    tar -C "$clean/base" -cf "$clean/base.tar.new" .
    mv "$clean/base.tar.new" "$clean/base.tar"
    rm -rf "$clean/base"
fi

make_library() {
    quietly "${MAKE:-make}" BLAS=none BUILD="$build/none" LDCONFIG=true PREFIX=/usr/local \
        LIBDIR=lib INCLUDEDIR=include "$@"
}
make_library library "$build/none/walkthrough"
"$build/none/walkthrough" "$clean/model.safetensors" "$clean/walkthrough.png" >/dev/null
want=$(sha256sum <"$clean/walkthrough.png" | cut -d' ' -f1)

test_language() {
    language=$1 root=$clean/$1
    packages=$(sed -n 's/.*apt-get install \([a-z0-9+. -]*\).*/\1/p' "examples/$1/README.md" |
        head -n 1)
    [ -n "$packages" ] || { echo "$language: its README names no packages" >&2; exit 1; }
    ! mountpoint -q "$root/proc" || umount "$root/proc"
    rm -rf "$root"
    mkdir -p "$root"
    tar -C "$root" -xf "$clean/base.tar"
    make_library DESTDIR="$root" install-lib
    mkdir "$root/src" "$root/work"
    cp -R examples include "$root/src"
    trap 'umount "$root/proc"' EXIT
    mount -t proc proc "$root/proc"
    status=0
    # The words of $packages are meant to be split.
    # shellcheck disable=SC2086
    { chroot "$root" apt-get update &&
        chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -y \
            --no-install-recommends zlib1g-dev $packages &&
        chroot "$root" ldconfig &&
        chroot "$root" sh -c "cd /src && sh examples/$language/check.sh /usr/local /work"
    } >"$log" 2>&1 || status=$?
    umount "$root/proc" || status=$?
    trap - EXIT
    [ $status = 0 ] || { tail -n 40 "$log" >&2; echo "$language: failed" >&2; exit 1; }
    got=$(sha256sum <"$root/work/walkthrough.png" | cut -d' ' -f1)
    [ "$got" = "$want" ] || { echo "$language: another picture: $got" >&2; exit 1; }
    echo "$language: ok on a system with $packages: png=$got"
    rm -rf "$root"
}
for language in "$@"; do test_language "$language"; done
