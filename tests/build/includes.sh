#!/bin/sh
# includes.sh ROOT: includes go down only. A quoted include names its room: "runtime/arena.h".
cd "$1" || exit 99
n=0
bad=

# room ROOM ALLOWED [ALLOWED-PUBLIC-HEADERS]: paths, as extended regular expressions
room() {
    n=$((n + 1))
    bad=$(find "$1" 2>/dev/null -name '*.[chS]' -exec grep -nH '^ *# *include *"' {} + | grep -Ev "\"($2)\"")
    if [ -n "$3" ]; then
        bad="$bad$(find "$1" 2>/dev/null -name '*.[chS]' -exec grep -nH '^ *# *include *<uvcsp' {} + | grep -Ev "<($3)>")"
    fi
    if [ -z "$bad" ]; then echo "ok $n - $1 looks down only"; else
        echo "not ok $n - $1 looks down only"
        echo "$bad" | sed 's/^/# /'
    fi
}

h='[a-z_0-9]+\.h'
room include none
room runtime "runtime/$h" 'uvcsp/(base|time)\.h'
room channels "(runtime|channels)/$h" 'uvcsp/(base|time|channel|alt|json)\.h'
room process "(runtime|channels|process)/$h"
room ipc "(runtime|channels|process|ipc)/$h"
room tools "runtime/$h|channels/channel\.h|tools/$h"
room demos 'common\.h'
room tests/contract "tests/$h|tests/contract/$h"
room tests/runtime "(runtime|tests|tests/runtime)/$h"
room tests/channels "(runtime|channels|tests|tests/channels)/$h"
room tests/process "(runtime|channels|process|tests|tests/process)/$h"
room tests/ipc "(runtime|channels|process|ipc|tests|tests/contract|tests/ipc)/$h"
room tests/crash "(runtime|channels|tests|tests/contract|tests/crash)/$h"
room tests/inject "(runtime|channels|process|tests|tests/contract|tests/inject)/$h"
room tests/explore "(runtime|channels)/$h|tests/explore/$h"
room tests/fuzz "runtime/(arena|link|report)\.[ch]|channels/message\.h|ipc/(connect|listener|socket)\.c|ipc/(auth|manager)\.h|tests/fuzz/$h"
room tests/limits "tests/contract/contract\.h"
room tests/security "runtime/(link|worker)\.h|tests/contract/contract\.h"
room tests/tools "tests/$h"
room tests/stress "runtime/arena\.h|tests/fixture\.h|tests/stress/$h"
echo "1..$n"
