#!/bin/sh
# docs.sh ROOT ARCHIVE BUILD: what the documents say is true. Every ```c block of README.md and of guide and tables in docs/
# compiles, with each compiler there is, without a warning; one that includes nothing gets the headers of `prelude` first.
# A program that is followed by a ```text block, with at most a line "It prints..." between, is run as workers and
# as light processes, and prints that. The manual pages are installed, well formed, and name what is public,
# which BUILD installs under its name; and every variable of the environment is in README and manual.
root=$1 archive=$2 build=$3
flags="-std=gnu11 -Wall -Wextra -Werror -I$root/include $(pkg-config --cflags libuv jansson)"
libs="$archive $(pkg-config --libs libuv jansson) -pthread"
prelude='stdio.h stdlib.h string.h unistd.h uvcsp.h'
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
n=0

report() {
    n=$((n + 1))
    echo "$1 $n - $2"
    [ "$1" = ok ] || sed 's/^/# /' "$dir/log" | head -20
}

try() { # try WHAT COMMAND...
    what=$1
    shift
    if "$@" >"$dir/log" 2>&1; then report ok "$what"; else report 'not ok' "$what"; fi
}

# extract DOCUMENT NAME: $dir/NAME-LINE.c for each block, $dir/NAME-LINE.out for what it prints
extract() {
    awk -v base="$dir/$2-" -v prelude="$prelude" '
        /^```/ && file { close(file); file = ""; next }
        /^```c$/ {
            last = base NR
            file = last ".c"
            print "#line " NR + 1 > file
            next
        }
        /^```text$/ && last { file = last ".out"; last = ""; printf "" > file; next }
        /^```/ { file = "/dev/null"; last = ""; next }
        file { print > file; next }
        NF && !/^It prints/ { last = "" }
    ' "$1"
    for block in "$dir/$2"-*.c; do
        grep -q '^#include' "$block" && continue
        { for header in $prelude; do echo "#include <$header>"; done; cat "$block"; } >"$dir/block"
        mv "$dir/block" "$block"
    done
}

prints() { # prints PROGRAM EXPECTED
    timeout 60 "$1" >"$dir/printed" 2>"$dir/errors" </dev/null
    diff -u "$2" "$dir/printed" || { cat "$dir/errors"; false; }
}

# shellcheck disable=SC2086
build() { # build COMPILER BLOCK: a program if it has a main
    if grep -q '^int main' "$2"; then
        $1 $flags -o "${2%.c}" "$2" $libs
    else
        $1 $flags -c -o /dev/null "$2"
    fi
}

for document in README docs/guide docs/multiprocessing; do
    name=$(basename $document)
    extract "$root/$document.md" "$name"
    for block in $(ls "$dir/$name"-*.c | sort -t- -k2n); do
        line=$(basename "$block" .c | sed 's/.*-//')
        for compiler in clang gcc; do
            command -v $compiler >/dev/null || continue
            try "$document.md:$line compiles with $compiler" build $compiler "$block"
        done
        [ -f "${block%.c}.out" ] || continue
        try "$document.md:$line prints what it says" prints "${block%.c}" "${block%.c}.out"
        export UVCSP_PAR=light
        try "$document.md:$line prints it as light processes too" prints "${block%.c}" "${block%.c}.out"
        unset UVCSP_PAR
    done
done

pages_are_installed() {
    for page in "$root"/docs/man/*.[137]; do
        grep -q "'$(basename "$page")'" "$root/docs/meson.build" || echo "$(basename "$page") is not in docs/meson.build"
    done >"$dir/missing"
    cat "$dir/missing"
    [ ! -s "$dir/missing" ]
}

# Every name of the face that is a function is on a page, and no page speaks of one that is none.
pages_name_the_functions() {
    public=$(sed -n 's/^ *\(uvcsp_[a-z_]*\);.*/\1/p' "$root/uvcsp.map" | grep -vx uvcsp_root) # a variable
    for name in $public; do
        grep -qw "$name" "$root"/docs/man/*.[137] || echo "no page names $name"
    done >"$dir/missing"
    cat "$root"/include/uvcsp.h "$root"/include/uvcsp/*.h >"$dir/face"
    grep -ohw 'uvcsp_[a-z_]*' "$root"/docs/man/*.[137] | sort -u | while read -r name; do
        grep -qw "$name" "$dir/face" || echo "$name is in a page and in no header"
    done >>"$dir/missing"
    cat "$dir/missing"
    [ ! -s "$dir/missing" ]
}

# What a program may call: functions, macros that look like functions, short names. And what the pages say they are of.
public_names() {
    sed -n 's/^ *\(uvcsp_[a-z_]*\);.*/\1/p' "$root/uvcsp.map" | grep -vx uvcsp_root
    cat "$root"/include/uvcsp.h "$root"/include/uvcsp/*.h |
        sed -n 's/^#define \(uvcsp_[a-z_]*[a-z]\)(.*/\1/p; s/^#define \([A-Z_]*\)\>.* UVCSP_\1\>.*/\1/p'
    sed -n '/^.Sh NAME/,/^.Sh DESCRIPTION/s/^\.[FN][nm] \([A-Za-z_]*\).*/\1/p' "$root"/docs/man/*.3 | grep -vx name
}

install_manual() {
    meson install -C "$build" --no-rebuild --tags man --destdir "$dir/installed" || return 1
    tree=$(dirname "$(dirname "$(find "$dir/installed" -name uvcsp.7)")")
}

# A page may say only that it is another one, which has to be there. And man(1), where there is one that works, finds it.
names_are_pages() {
    finds=false
    [ -f "$(man -M "$tree" -w uvcsp 2>"$dir/man")" ] && finds=true
    public_names | sort -u | while read -r name; do
        page=$tree/man3/$name.3
        other=$(sed -n '1s/^\.so //p' "$page")
        if [ ! -s "$page" ] || [ ! -s "${other:+$tree/}${other:-$page}" ]; then
            echo "$name has no page"
        elif $finds && [ ! -f "$(man -M "$tree" -w "$name" 2>&1)" ]; then
            echo "man does not find $name"
        fi
    done >"$dir/missing" 2>&1
    cat "$dir/missing"
    [ ! -s "$dir/missing" ]
}

a_missing_page_is_noticed() {
    mv "$tree/man3/uvcsp_join.3" "$dir/away" && mv "$tree/man3/PAR.3" "$dir/away.too" || return 1
    names_are_pages
    grep -qx 'uvcsp_join has no page' "$dir/missing" && grep -qx 'PAR_FOR has no page' "$dir/missing"
}

# Every variable that the library reads is told of.
variables_are_told() {
    grep -rhoE 'getenv\("UVCSP_[A-Z]*"' "$root/runtime" "$root/channels" "$root/process" "$root/ipc" |
        cut -d'"' -f2 | sort -u | while read -r name; do
        for document in README.md docs/man/uvcsp.7; do
            grep -qw "$name" "$root/$document" || echo "$name is not in $document"
        done
    done >"$dir/missing"
    cat "$dir/missing"
    [ ! -s "$dir/missing" ]
}

demos_are_told() {
    sed -n 's/^\([a-z_0-9]*\)|.*/\1/p' "$root/demos/list" | while read -r name; do
        grep -q "^| .$name. |" "$root/README.md" || echo "$name is not in README.md"
    done >"$dir/missing"
    cat "$dir/missing"
    [ ! -s "$dir/missing" ]
}

try 'every manual page is installed' pages_are_installed
try 'every demo is in README' demos_are_told
try 'every variable of the environment is told of' variables_are_told
try 'the manual names what is public' pages_name_the_functions
try 'the manual is installed' install_manual
try 'every function and macro is a page by its name' names_are_pages
try 'a page that is missing is noticed' a_missing_page_is_noticed
if command -v mandoc >/dev/null; then
    try 'the manual is well formed' mandoc -T lint -W warning "$root"/docs/man/*.[137]
else
    n=$((n + 1))
    echo "ok $n - the manual is well formed # SKIP mandoc is not installed"
fi
echo "1..$n"
