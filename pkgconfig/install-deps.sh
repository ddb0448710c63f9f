#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what libdiffusion is built and tested with, from the distribution's packages.
#   pkgconfig/install-deps.sh [openblas|blis|none [bench]]     bench: also what `make bench` needs
# It says the command before it runs it, uses sudo where the user is not root, and fails where it can't go on.
set -eu

blas=${1:-openblas}
bench=${2:-}
[ "$blas" != none ] || blas=

fail() {
    echo "error: $1" >&2
    echo "       Install by hand: pkg-config, ${blas:+$blas with its headers, }zlib, libpng, libjpeg-turbo, libzip${bench:+, jansson, popt} and Check, then run make again." >&2
    exit 1
}

needs_root=yes
if command -v apt-get >/dev/null 2>&1; then
    packages="pkg-config ${blas:+lib$blas-dev }zlib1g-dev libpng-dev libjpeg-dev libzip-dev libsixel-dev ${bench:+libjansson-dev libpopt-dev }check"
    update="apt-get update -qq" install="apt-get install -y -qq"
elif command -v dnf >/dev/null 2>&1; then
    packages="pkgconf-pkg-config ${blas:+$blas-devel }zlib-devel libpng-devel libjpeg-turbo-devel libzip-devel libsixel-devel ${bench:+jansson-devel popt-devel }check-devel"
    update="" install="dnf install -y"
elif command -v apk >/dev/null 2>&1; then
    packages="pkgconf ${blas:+$blas-dev }zlib-dev libpng-dev libjpeg-turbo-dev libzip-dev libsixel-dev ${bench:+jansson-dev popt-dev }check-dev"
    update="" install="apk add"
elif command -v pacman >/dev/null 2>&1; then
    packages="pkgconf ${blas:+$blas }zlib libpng libjpeg-turbo libzip libsixel ${bench:+jansson popt }check"
    update="" install="pacman -S --needed --noconfirm"
elif command -v brew >/dev/null 2>&1; then
    packages="pkgconf ${blas:+$blas }zlib libpng jpeg-turbo libzip libsixel ${bench:+jansson popt }check"
    update="" install="brew install" needs_root=no
else
    fail "none of apt-get, dnf, apk, pacman or brew was found"
fi

as_root=""
if [ $needs_root = yes ] && [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || fail "installing packages needs root, and there is no sudo. As root: $install $packages"
    as_root="sudo "
fi

# The lists of words are meant to be split. sudo drops the environment, so that env stands behind it.
if [ -n "$update" ]; then
    echo "+ $as_root$update"
    # shellcheck disable=SC2086
    ${as_root}env DEBIAN_FRONTEND=noninteractive $update || fail "'$update' failed"
fi
echo "+ $as_root$install $packages"
# shellcheck disable=SC2086
${as_root}env DEBIAN_FRONTEND=noninteractive $install $packages || fail "'$install' failed"
