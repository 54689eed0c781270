#!/bin/sh
# smoke.sh BUILT: does the suite work? Every case of uvcsp runs once, as small as it gets, and prints a number; the
# JSON is what it is said to be; the plots are well-formed. What the figures are does not matter. Speaks TAP.
here=$(cd "$(dirname "$0")" && pwd)
built=$1
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
n=0

try() { # try WHAT COMMAND...
    what=$1
    shift
    n=$((n + 1))
    if "$@" >"$dir/log" 2>&1; then
        echo "ok $n - $what"
    else
        echo "not ok $n - $what"
        sed 's/^/# /' "$dir/log" | head -n 20
    fi
}

all_cases_have_a_number() {
    "$here/run" -t -l | awk -F '\t' '/^ / { sub(/^ +/, ""); n = split($3, who, " ")
        for (i = 1; i <= n; i++) print $1, $2, who[i] }' | sort -u >"$dir/wanted"
    awk -F '\t' '$5 + 0 == $5 { print $2, $3, $4 }' "$dir/out/measured.tsv" | sort -u >"$dir/got"
    [ -s "$dir/wanted" ] && ! comm -23 "$dir/wanted" "$dir/got" | grep .
}

# Elements are closed in the order in which they were opened, attributes are quoted, no stray `&` or `<`.
well_formed() {
    for plot in "$dir"/out/*.svg; do
        awk -f "$here/well_formed.awk" "$plot" || return 1
        ! command -v xmllint >/dev/null || xmllint --noout "$plot" || return 1
    done
}

try 'every case runs once' "$here/run" -b "$built" -t -o "$dir/out"
try 'every case has a number' all_cases_have_a_number
try 'the JSON is as documented' "$built/check_json" "$dir/out/figures.json"
try 'the plots are well-formed' well_formed
try 'a case that there is not is told' sh -c "! '$here/run' -b '$built' no-such-case"
echo "1..$n"
