#!/bin/sh
# machine.sh ROUNDS SECONDS HERE: on what and with what was measured; a line for each: M, word, value; tabs.
say() { [ -z "$2" ] || printf 'M\t%s\t%s\n' "$1" "$2"; }

say date "$(date -u +%Y-%m-%d)"
say uvcsp "$(sed -n "s/^  version: '\(.*\)',/\1/p" "$3/../meson.build")$(
    git -C "$3" rev-parse --short HEAD 2>/dev/null | sed 's/^/ (/; s/$/)/')"
say processor "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
say processors "$(nproc)"
say memory "$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)"
say kernel "$(uname -sr)"
say load "$(cut -d ' ' -f 1-3 /proc/loadavg)"
say compiler "$(cc --version | head -n 1)"
say go "$(go version 2>/dev/null | sed 's/go version go//; s/ .*//')"
say python "$(/usr/bin/python3 --version 2>/dev/null | sed 's/Python //')"
for package in libuv1-dev libzmq3-dev libnng-dev; do
    say "$package" "$(dpkg-query -W -f '${Version}' "$package" 2>/dev/null)"
done
say rounds "$1"
say seconds "$2"
