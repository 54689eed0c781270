#!/bin/sh
# compile.sh ROOT: the programs in refused/ must not compile, and for the reason that they name (or must be warned
# of); without their wrong line they must. accepted.c and all of the house must compile without a warning. With each compiler
# there is.
root=$1
include=$root/include
here=$(dirname "$0")
options="-std=gnu11 -Wall -Wextra -I$include $(pkg-config --cflags libuv jansson)"
flags="$options -fsyntax-only"
log=$(mktemp) || exit 99
trap 'rm -f "$log"' EXIT
n=0

report() {
    n=$((n + 1))
    echo "$1 $n - $2"
    [ "$1" = ok ] || sed 's/^/# /' "$log" | head -20
}

accepts() {
    # shellcheck disable=SC2086
    if $1 $flags -Werror "$2" 2>"$log"; then report ok "$3"; else report 'not ok' "$3"; fi
}

refuses() {
    reason=$(sed -n 's|^// error: ||p' "$2")
    # shellcheck disable=SC2086
    if [ -n "$reason" ] && ! $1 $flags -DWRONG "$2" 2>"$log" && grep -Eq "error: .*($reason)" "$log"; then
        report ok "$3"
    else
        report 'not ok' "$3"
    fi
}

# warns COMPILER PROGRAM WHAT: at every level, since some warnings come from what optimises, which -fsyntax-only leaves out
warns() {
    reason=$(sed -n 's|^// warning: ||p' "$2")
    for level in -O0 -O1 -O2 -O3; do
        # shellcheck disable=SC2086
        if $1 $options $level -Werror -c -o /dev/null -DWRONG "$2" 2>"$log" || ! grep -Eq "error: .*($reason)" "$log" ||
            ! $1 $options $level -Werror -c -o /dev/null "$2" 2>"$log"; then
            report 'not ok' "$3 ($level)"
            return
        fi
    done
    report ok "$3"
}

# rooms COMPILER: the sources of every room
rooms() {
    for room in runtime channels process ipc demos bench tools tests tests/runtime tests/channels tests/process \
        tests/contract; do
        set -- "$1" "$root/$room"/*.c
        [ -f "$2" ] || continue
        compiler=$1
        shift
        n=$((n + 1))
        # shellcheck disable=SC2086
        if $compiler $flags -Werror -D_GNU_SOURCE -I"$root" "$@" 2>"$log"; then
            echo "ok $n - $compiler has no warning in $room/"
        else
            echo "not ok $n - $compiler has no warning in $room/"
            sed 's/^/# /' "$log" | head -20
        fi
        set -- "$compiler"
    done
}

for compiler in gcc clang; do
    if ! command -v $compiler >/dev/null; then
        n=$((n + 1))
        echo "ok $n - $compiler # SKIP not installed"
        continue
    fi
    accepts $compiler "$here/accepted.c" "$compiler takes every form of the face without a warning"
    rooms $compiler
    for program in "$here"/refused/*.c; do
        name=$(basename "$program" .c)
        if grep -q '^// warning: ' "$program"; then
            warns "$compiler" "$program" "$compiler warns of $name"
        else
            refuses "$compiler" "$program" "$compiler refuses $name"
        fi
        accepts "$compiler" "$program" "$compiler takes the right form of $name"
    done
done
echo "1..$n"
