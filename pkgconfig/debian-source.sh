#!/bin/sh
# SPDX-License-Identifier: MIT
# Fetches the source of a Debian package, of which there is no package for the machine that is built
# for, from the servers that this system uses, and unpacks it to WORK/FOLDER. Needs apt-get and
# dpkg-dev.  debian-source.sh PACKAGE WORK [FOLDER], which is else PACKAGE
set -eu
package=$1 folder=${3:-$1}
mkdir -p "$2"
work=$(cd "$2" && pwd)
[ ! -d "$work/$folder" ] || exit 0
command -v apt-get >/dev/null || {
    echo "error: the source of $package is fetched with apt-get, which is not here" >&2
    exit 1
}
apt=$work/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$list" ] || continue
    sed -n 's/^deb /deb-src /p' "$list" >"$apt/parts/$(basename "$list" .list).list"
done
for list in /etc/apt/sources.list.d/*.sources; do
    [ ! -f "$list" ] || sed 's/^Types:.*/Types: deb-src/' "$list" >"$apt/parts/$(basename "$list")"
done
cd "$work"
set -- -qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$apt/parts" \
    -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root
# A list may name a newer version than the server has files of.
fetch() {
    apt-get "$@" update || return 1
    for version in $(apt-cache "$@" showsrc --only-source "$package" |
        sed -n 's/^Version: //p' | sort -Vru); do
        ! apt-get "$@" source "$package=$version" || return 0
    done
    return 1
}
fetch "$@" >"$apt/$package.log" 2>&1 || {
    cat "$apt/$package.log" >&2
    exit 1
}
# Unpacked as PACKAGE-VERSION.
for unpacked in "$package"-*; do
    [ ! -d "$unpacked" ] || mv "$unpacked" "$folder"
done
