#!/bin/sh
# build.sh GO OUTPUT DIRECTORY: builds the peer from the standard library alone, with a cache of its own in the
# directory and no network.
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$3/go-source" && private=$(cd "$3" && pwd) || exit 1
cp "$here"/*.go "$private/go-source" || exit 1
awk -f "$here/select.awk" >"$private/go-source/select.go" || exit 1
export GO111MODULE=off GOPROXY=off GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS=
export GOCACHE="$private/go-cache" GOPATH="$private/go-path"
exec "$1" build -o "$2" "$private"/go-source/*.go
