#!/bin/sh
# fixture.sh LEAKS: does the fixture fail the cases that leak, and pass those that do not?
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
n=0

check() {
    n=$((n + 1))
    if eval "$2"; then echo "ok $n - $1"; else echo "not ok $n - $1"; fi
}

CK_TAP_LOG_FILE_NAME=- CK_VERBOSITY=silent "$1" >"$dir/out" 2>"$dir/err"
status=$?
sed 's/^/# /' "$dir/out"

says() {
    grep -q "^not ok .*:bad_$1: .*$2" "$dir/out"
}
check 'an open descriptor fails its case' "says leaves_a_descriptor 'left open: /dev/null'"
check 'an open loop fails its case' "says leaves_a_loop_descriptor 'left open'"
check 'a living child fails its case' "says leaves_a_living_child 'left running'"
check 'a dead child fails its case' "says leaves_a_dead_child 'not waited for'"
check 'a case that hangs is stopped' "says takes_too_long 'timeout'"
check 'a crash fails its case' "says crashes_by_a_signal 'signal 11\|return value'"
check 'an early exit fails its case' "says exits_with_a_status 'Early exit'"
check 'a false assertion fails its case' "says assertion '1 == 2'"
check 'no other case fails' "[ \$(grep -c '^not ok .*:good_' '$dir/out') -eq 0 ]"
check 'what a case prints is not taken for a report' "[ \$(grep -c 'this is not' '$dir/out') -eq 0 ]"
check 'the six good cases have run seven times' "[ \$(grep -c '^ok .*:good_' '$dir/out') -eq 7 ]"
check 'the program says that it failed' "[ $status -ne 0 ]"
check 'a run that finds no case fails' "! '$1' no_such_case >/dev/null 2>&1"
echo "1..$n"
