#!/bin/sh
# mutate.sh SOURCE OUTPUT SED: a copy of a source file with one rule broken. Where there is nothing to break (any more) it fails.
sed -E "$3" "$1" >"$2" || exit 1
if cmp -s "$1" "$2"; then
    echo "mutate.sh: $1 has nothing for '$3'" >&2
    rm -f "$2"
    exit 1
fi
