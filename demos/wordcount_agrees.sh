#!/bin/sh
# wordcount_agrees.sh WORDCOUNT: its answer is that of `wc -w`, for the licenses of Debian where they are,
# and for the files beside this one.
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT

agrees() {
    wc -w "$@" >"$dir/expected" && "$wordcount" "$@" >"$dir/counted" && diff -u "$dir/expected" "$dir/counted"
}

wordcount=$1
agrees "$(dirname "$0")"/*.c "$(dirname "$0")"/list || exit 1
agrees "$0" || exit 1
[ -d /usr/share/common-licenses ] || exit 0
wc -w /usr/share/common-licenses/* >"$dir/expected" && "$wordcount" >"$dir/counted" || exit 1
diff -u "$dir/expected" "$dir/counted"
