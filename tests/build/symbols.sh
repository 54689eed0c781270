#!/bin/sh
# symbols.sh SHARED STATIC MAP INCLUDE: the headers, the symbol map and the library name the same functions;
# and what the static library shows to the linker carries a prefix of the house.
shared=$1 static=$2 map=$3 include=$4
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
n=0

check() {
    n=$((n + 1))
    if "$2" >"$dir/log" 2>&1; then echo "ok $n - $1"; else
        echo "not ok $n - $1"
        sed 's/^/# /' "$dir/log" | head -20
    fi
}

cat "$include"/uvcsp.h "$include"/uvcsp/*.h |
    sed 's/__attribute__(([a-z_]*))//; /^#define/d' | tr '\n' ' ' |
    grep -o 'UVCSP_API [^;{]*;' | sed 's/ *[(;].*//; s/.*[ *]//' | sort -u >"$dir/headers"
sed -n 's/^ *\(uvcsp_[a-z_]*\);$/\1/p' "$map" >"$dir/map.order"
sort "$dir/map.order" >"$dir/map"
nm -D --defined-only "$shared" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u >"$dir/library"
nm -g --defined-only "$static" | awk 'NF == 3 { print $3 }' | sort -u >"$dir/static"

headers_are_mapped() { diff "$dir/headers" "$dir/map"; }
library_is_mapped() { diff "$dir/library" "$dir/map"; }
map_is_in_order() { LC_ALL=C sort -c "$dir/map.order"; }
names_are_prefixed() { ! grep -Ev '^(uvcsp|usp)_|^__' "$dir/static"; }
static_is_whole() {
    comm -23 "$dir/map" "$dir/static" | grep . && return 1
    nm -u "$static" | awk '{ print $NF }' | grep -E '^(uvcsp|usp)_' | sort -u |
        comm -23 - "$dir/static" | grep . && return 1
    return 0
}

check 'the map lists what the headers declare' headers_are_mapped
check 'the shared library exports what the map lists' library_is_mapped
check 'the map is in the order of the alphabet' map_is_in_order
check 'the static library holds all of itself' static_is_whole
check 'what crosses files in the static library is called uvcsp_ or usp_' names_are_prefixed
echo "1..$n"
