#!/bin/sh
# headers.sh INCLUDE: each public header compiles alone, with and without UVCSP_LONG_NAMES, which leaves none
# of the short names; each is installed; none defines a macro outside its own names.
include=$(cd "$1" && pwd) || exit 99
flags="-std=gnu11 -Wall -Wextra -Werror -x c -I$include $(pkg-config --cflags libuv jansson)"
cc=${CC:-cc}
log=$(mktemp) || exit 99
trap 'rm -f "$log"' EXIT
n=0

report() {
    n=$((n + 1))
    echo "$1 $n - $2"
    [ "$1" = ok ] || sed 's/^/# /' "$log" | head -20
}

try() {
    if "$@" >"$log" 2>&1; then report ok "$what"; else report 'not ok' "$what"; fi
}

compiles() {
    # shellcheck disable=SC2086
    printf '#include <%s>\n#include <%s>\nint main(void) { return 0; }\n' "$1" "$1" | $cc $flags -fsyntax-only $2 -
}

# The macros that a header leaves behind, without those of what it includes from outside.
macros() {
    # shellcheck disable=SC2086
    printf '#include <%s>\n' "$1" | $cc $flags -E -dD $2 - |
        awk -v own="$include" '/^# [0-9]/ { mine = index($3, own) > 0 }
            mine && /^#define / { sub(/\(.*/, "", $2); print $2 }'
}

long_names_only() {
    macros "$1" -DUVCSP_LONG_NAMES | grep -Ev '^(UVCSP_|uvcsp_)' && return 1
    return 0
}

short_names_are_aliases() {
    for names in "$include"/uvcsp/names.h "$include"/uvcsp/ipc_names.h; do
        sed -n 's/^#define \([A-Z_]*\).*/\1/p' "$names" | grep -vx 'UVCSP_.*NAMES_H' |
            while read -r name; do
                grep -q "^#define $name\\>.*UVCSP_$name" "$names" || echo "$name"
            done
    done | grep . && return 1
    return 0
}

installed() {
    grep -q "'$1'" "$include/meson.build"
}

# Where uv.h cannot be had, the first line of the compiler says what to do; where it can, there is none.
tells_of_the_standard() {
    for standard in -std=c11 '-std=c11 -D_POSIX_C_SOURCE=199506L' '-std=c17 -D_XOPEN_SOURCE' '-std=gnu11 -D_POSIX_SOURCE'; do
        compiles "$1" "$standard" 2>&1 | grep error: | head -n 1 | grep -q 'compile with -std=gnu11' || return 1
    done
    for standard in -std=gnu11 -std=gnu17 '-std=c11 -D_GNU_SOURCE' '-std=c11 -D_DEFAULT_SOURCE' \
        '-std=c17 -D_POSIX_C_SOURCE=200112L' '-std=c11 -D_XOPEN_SOURCE=500'; do
        compiles "$1" "$standard" || return 1
    done
}

for header in uvcsp.h $(cd "$include" && echo uvcsp/*.h); do
    what="<$header> compiles alone and twice" try compiles "$header"
    what="<$header> compiles with the long names" try compiles "$header" -DUVCSP_LONG_NAMES
    what="<$header> is in the list of what is installed" try installed "$header"
    case $header in
    uvcsp/names.h | uvcsp/ipc_names.h) ;;
    *) what="<$header> defines long names only" try long_names_only "$header" ;;
    esac
done
what='without the feature macros that uv.h needs, they say what to do' try tells_of_the_standard uvcsp.h
what='every short name is the alias of its long one' try short_names_are_aliases
echo "1..$n"
