#!/bin/sh
# multiprocessing.sh ROOT: the tables of docs/multiprocessing.md. The second cell of each row is code, which compiles
# with each compiler there is, without a warning, after the block of declarations that the document itself shows;
# or a dash, and then the third cell says why. And the first cells name all that Python's multiprocessing has, as
# multiprocessing.names beside this file lists it. The tables of what goes wrong there name cases, which exist.
# (The blocks of the document are compiled and run by docs.sh.)
root=$1
document=$root/docs/multiprocessing.md
flags="-std=gnu11 -Wall -Wextra -Werror -Wno-unused-variable -Wno-unused-but-set-variable -I$root/include \
$(pkg-config --cflags libuv jansson)"
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
        sed 's/^/# /' "$dir/log" | head -30
    fi
}

# rows DOCUMENT: LINE, SECTION and the three cells of each row, separated by tabs. A `|` in code is not one of the table's.
rows() {
    awk '
        /^## / { section = tolower(substr($0, 4)) }
        /^\| / && !/^\| (---|Python|there|what) / {
            n = split(substr($0, 3), part, "`")
            line = ""
            for (i = 1; i <= n; i++) {
                if (i % 2)
                    gsub(/ *\| */, "\t", part[i])
                line = line part[i] (i < n ? "`" : "")
            }
            print NR "\t" section "\t" line
        }
    ' "$1"
}

# program DOCUMENT: the declarations, and a function for each row that has code.
program() {
    awk '/^The lines below use these declarations:/ { on = 1 } on && /^```$/ { exit } on == 2; on && /^```c$/ { on = 2 }' "$1"
    rows "$1" | awk -F '\t' '
        $2 != "what goes wrong there" && $4 ~ /^`.*`$/ {
            code = substr($4, 2, length($4) - 2)
            printf "void line_%d(void)\n{\n#line %d \"docs/multiprocessing.md\"\n%s\n}\n", $1, $1, code
        }'
}

compiles() { # compiles COMPILER DOCUMENT
    program "$2" >"$dir/lines.c"
    [ "$(grep -c '^void line_' "$dir/lines.c")" -gt 100 ] || { echo "there are no lines"; return 1; }
    # shellcheck disable=SC2086
    $1 $flags -c -o /dev/null "$dir/lines.c"
}

refuses() { # refuses COMPILER CODE: a wrong line is found
    sed "/^| .Process.start/s/^/| \`x\` | \`$2\` | |\n/" "$document" >"$dir/wrong.md"
    ! compiles "$1" "$dir/wrong.md"
}

every_row_says_something() {
    rows "$document" | grep -v '	what goes wrong there	' | awk -F '\t' '
        NF != 6 { print "line " $1 ": there are not three cells"; bad = 1 }
        $3 ~ /^\*\*/ && $4 == "" { next }
        $4 !~ /^`.*[;}]`$/ && $4 != "-" { print "line " $1 ": neither code nor a dash: " $4; bad = 1 }
        $4 == "-" && $5 == "" { print "line " $1 ": there is none, and no reason"; bad = 1 }
        END { exit bad }'
}

every_name_is_there() {
    rows "$document" | cut -f2,3 >"$dir/first"
    grep -v '^#' "$root/tests/build/multiprocessing.names" | while IFS='|' read -r section class names; do
        for name in $names; do
            word=${class:+$class.}$name
            sed -n "s/^$section	//p" "$dir/first" | grep -qwF -e "$word" || echo "section '$section' does not name $word"
        done
    done >"$dir/missing"
    cat "$dir/missing"
    [ ! -s "$dir/missing" ]
}

every_case_exists() {
    : >"$dir/missing"
    rows "$document" | grep '	what goes wrong there	' | cut -f5 | tr -d '`' | tr ' ' '\n' | grep . >"$dir/cases"
    [ "$(wc -l <"$dir/cases")" -gt 20 ] || echo "there are no cases" >"$dir/missing"
    while read -r name; do
        grep -q "^TEST($name[,)]" "$root"/tests/ipc/*.c || echo "there is no case $name"
    done <"$dir/cases" >>"$dir/missing"
    cat "$dir/missing"
    [ ! -s "$dir/missing" ]
}

for compiler in clang gcc; do
    command -v $compiler >/dev/null || continue
    try "every line compiles with $compiler" compiles $compiler "$document"
    try "a line with a wrong type is refused by $compiler" refuses $compiler 'status = uvcsp_join(q, 5);'
    try "a line with a name that is none is refused by $compiler" refuses $compiler 'uvcsp_no_such_thing(q);'
done
try 'every row has code, or says why there is none' every_row_says_something
try 'every case that is named exists' every_case_exists
try 'every name of multiprocessing is there' every_name_is_there
echo "1..$n"
