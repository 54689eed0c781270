#!/bin/sh
# instructions.sh [-w] BUILD COMPILER BUILDTYPE...: counts the instructions of the cases in the table `instructions`, as
# the difference of two runs of different length, and fails when one marked `held` needs over 5 % more than
# is written there. -w: writes the table anew. BUILD is the directory of the benchmark. Speaks TAP.
here=$(cd "$(dirname "$0")" && pwd)
write=
[ "$1" = -w ] && write=1 && shift
program=$1/bench_uvcsp
shift
made_by=$*
table=$here/instructions

skip() {
    echo "1..0 # SKIP $*"
    exit 0
}
command -v valgrind >/dev/null || skip "valgrind is not installed"
[ -x "$program" ] || skip "$program is not built"
wanted=$(sed -n 's/^made by: //p' "$table")
[ -n "$write" ] || [ "$wanted" = "$made_by" ] ||
    skip "the counts are for '$wanted', this is '$made_by'"

# count CASE OPERATIONS
count() {
    BENCH_OPERATIONS=$2 UVCSP_SEED= timeout 300 valgrind --tool=cachegrind --cache-sim=no \
        --cachegrind-out-file=/dev/null "$program" "$1" 2>&1 >/dev/null |
        awk '/I +refs:/ { gsub(",", "", $NF); print $NF }'
}

# of_one CASE OPERATIONS: tenths of an instruction
of_one() {
    few=$(count "$1" "$2")
    many=$(count "$1" $(($2 * 3)))
    [ -n "$few" ] && [ -n "$many" ] && echo $(((many - few) * 10 / ($2 * 2)))
}

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
grep '|' "$table" | grep -v '^#' >"$dir/rows"
[ -n "$write" ] || echo "1..$(wc -l <"$dir/rows")"
n=0
status=0
while IFS='|' read -r name operations held was; do
    name=${name%% *} n=$((n + 1))
    now=$(of_one "$name" $((operations)))
    if [ -n "$write" ]; then
        printf '%-22s | %7d | %-4s | %s\n' "$name" $((operations)) $held \
            "$(echo "$now" | awk '{ printf "%.1f", $1 / 10 }')" >>"$dir/new"
        continue
    fi
    most=$(echo "$was" | awk '{ printf "%d", $1 * 10.5 }')
    say="$name: $(echo "${now:-0}" | awk '{ print $1 / 10 }') instructions, $((0 + ${was%%.*})) in the table"
    if [ -z "$now" ]; then
        echo "not ok $n - $name could not be counted"
        status=1
    elif [ "$now" -le "$most" ] || [ $held = no ]; then
        echo "ok $n - $say"
    else
        echo "not ok $n - $say"
        status=1
    fi
done <"$dir/rows"
if [ -n "$write" ]; then
    {
        sed -n '/^#/p' "$table"
        echo "made by: $made_by"
        echo
        cat "$dir/new"
    } >"$dir/table" && cat "$dir/table" >"$table"
fi
exit $status
