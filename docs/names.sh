#!/bin/sh
# names.sh PAGE...: the manual has each function and macro under its name. What NAME and SYNOPSIS of the pages name, as
# lines "NAME PAGE" in the order of the alphabet, without the pages themselves. A name on two pages is an error.
# names.sh -d DIR PAGE...: makes for each a page NAME.3 in DIR that is the other one (.so).
[ "$1" = -d ] && dir=$2 && shift 2
names=$(awk '
    FNR == 1 { part = ""; page = FILENAME; sub(".*/", "", page) }
    /^\.Sh / { part = $2 }
    part != "NAME" && part != "SYNOPSIS" { next }
    /^\.(Nm|Fn|Li) / {
        name = $2
        sub(/[^A-Za-z_].*/, "", name) # LOCKED(shared) { ... }
        if (name !~ /^(uvcsp_[a-z_]+|[A-Z_]+)$/ || name ".3" == page)
            next
        if (name in on && on[name] != page) {
            print "names.sh: " name " is on " on[name] " and on " page > "/dev/stderr"
            exit failed = 1
        }
        on[name] = page
    }
    END { if (failed) exit 1; for (name in on) print name, on[name] }' "$@") || exit 1
names=$(echo "$names" | LC_ALL=C sort)
if [ -n "$dir" ]; then
    echo "$names" | while read -r name page; do
        echo ".so man${page##*.}/$page" >"$dir/$name.3" || exit 1
    done
else
    echo "$names"
fi
