#!/bin/sh
# sanitizer.sh LIBRARY INCLUDE-DIRECTORIES...: a program that is built with the address sanitizer runs with the
# library as it is, and one with many workers under valgrind.
library=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
includes=
for one; do includes="$includes -I$one"; done
n=0
for cc in gcc clang; do
    n=$((n + 1))
    name="what a process leaves on its stack when it is ended is not taken for the next one's ($cc)"
    # shellcheck disable=SC2086
    if ! command -v $cc >/dev/null || ! echo 'int main(void) { return 0; }' | $cc -fsanitize=address -xc -o "$dir/empty" - 2>/dev/null; then
        echo "ok $n - $name # SKIP there is no such sanitizer"
        continue
    fi
    # shellcheck disable=SC2046,SC2086
    if $cc -std=gnu11 -g -fsanitize=address $includes "$here/ended_in_frames.c" -o "$dir/program" "$library" \
        -Wl,-rpath,"$(dirname "$library")" $(pkg-config --cflags --libs libuv jansson) >"$dir/log" 2>&1 &&
        [ "$(UVCSP_PAR=light timeout 60 "$dir/program" 2>>"$dir/log")" = well ]; then
        echo "ok $n - $name"
    else
        echo "not ok $n - $name"
        head -n 25 "$dir/log" | sed 's/^/# /'
    fi
done

n=$((n + 1))
name='workers that end, and others that are started meanwhile, have lost no memory'
if ! command -v valgrind >/dev/null || [ ! -f /usr/include/valgrind/valgrind.h ]; then
    echo "ok $n - $name # SKIP valgrind is not installed"
# shellcheck disable=SC2046,SC2086
elif gcc -std=gnu11 -g $includes "$here/ending_workers.c" -o "$dir/workers" "$library" -Wl,-rpath,"$(dirname "$library")" \
    $(pkg-config --cflags --libs libuv jansson) >"$dir/log" 2>&1 &&
    [ "$(timeout 120 valgrind -q --leak-check=full --error-exitcode=99 "$dir/workers" 2>>"$dir/log")" = '6 failed' ]; then
    echo "ok $n - $name"
else
    echo "not ok $n - $name"
    head -n 25 "$dir/log" | sed 's/^/# /'
fi
echo "1..$n"
