#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds and tests the Go package with the library installed under PREFIX, and runs the walkthrough,
# which writes WORK/walkthrough.png. Everything is built in WORK, an existing empty folder.
#     sh examples/go/check.sh PREFIX WORK
# Exit status 77: there is no Go.
set -eu
[ $# -eq 2 ] || { echo "usage: sh examples/go/check.sh PREFIX WORK" >&2; exit 2; }
command -v go > /dev/null || { echo "no go"; exit 77; }
prefix=$(cd "$1" && pwd)
work=$(cd "$2" && pwd)
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
export LD_LIBRARY_PATH="$prefix/lib"
export GOFLAGS=-mod=mod GOCACHE="$work/cache" GOPATH="$work/path" GOENV=off
export GOTOOLCHAIN=local GOPROXY=off
export TMPDIR="$work" CGO_ENABLED=1
cd examples/go

# Runs a command, whose output is shown if it fails.
quietly() {
    "$@" > "$work/log" 2>&1 && return
    cat "$work/log" >&2
    exit 1
}

badly_formatted=$(gofmt -l .)
[ -z "$badly_formatted" ] || { echo "gofmt: $badly_formatted" >&2; exit 1; }
quietly go vet ./...
race=
case "$(go env GOOS)/$(go env GOARCH)" in
linux/amd64 | linux/arm64) race=-race ;; # where Go has a race detector
esac
quietly env GODEBUG=cgocheck=2 go test -count=1 $race .
quietly go build -o "$work/walkthrough" ./cmd/walkthrough
cd "$work"
quietly ./walkthrough walkthrough.safetensors walkthrough.png
