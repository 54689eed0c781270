#!/bin/sh
# same_output.sh HOW EXPECTED PROGRAM [ARGUMENT...]: runs a demo in forked workers and again as light processes.
# Both runs must end with status 0; HOW says how their outputs must compare, with each other and with the
# file EXPECTED where there is one: `same` to the byte, `sorted` the same lines in any order, `free` not at all.
how=$1 expected=$2
shift 2
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT

env -u UVCSP_PAR "$@" >"$dir/forked" </dev/null || { echo "forked: status $?"; exit 1; }
UVCSP_PAR=light "$@" >"$dir/light" </dev/null || { echo "light: status $?"; exit 1; }
{ "$1" --help >"$dir/help" && [ -s "$dir/help" ]; } || { echo "--help says nothing"; exit 1; }

[ "$how" = free ] && exit 0
cp "$(if [ -f "$expected" ]; then echo "$expected"; else echo "$dir/forked"; fi)" "$dir/expected" || exit 99
if [ "$how" = sorted ]; then
    for run in forked light expected; do
        sort -o "$dir/$run" "$dir/$run"
    done
fi
diff -u "$dir/expected" "$dir/forked" && diff -u "$dir/expected" "$dir/light"
