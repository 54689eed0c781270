#!/bin/sh
# run.sh MODEL.pml [NAME...]: has Spin search every state of a model, in each of the ways that its lines ` @ ` ask for:
#
#    @ small holds NAME OPTIONS       no error may be found
#    @ small fails:WHAT NAME OPTIONS  one must be, and its first line must contain WHAT (without blanks)
#
# OPTIONS: -DX for the model; ltl=NAME: that formula, under weak fairness; bits=N: bitstate hashing in 2^N bits, so
# the search is not complete; mem=MIB; depth=N. `large` lines are left out unless UVCSP_MODEL=large, and then
# the small ones are. NAME...: only these, of either size. Speaks TAP.
model=$1
shift
case $model in
/*) ;;
*) model=$PWD/$model ;;
esac
if ! command -v spin >/dev/null || ! command -v "${CC:-cc}" >/dev/null; then
    echo "1..0 # SKIP Spin and a C compiler are needed (Debian: spin gcc)"
    exit 0
fi
size=${UVCSP_MODEL:-small}
dir=$(mktemp -d "${TMPDIR:-/tmp}/model.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
cd "$dir" || exit 1

# verify EXPECTED NAME OPTIONS...: a line of TAP.
verify() {
    expected=$1 name=$2
    shift 2
    spin='' cc='-DNOFAIR -DSAFETY' pan='' mem=2000 depth=2000000 kind=''
    for option; do
        case $option in
        -D*) spin="$spin $option" ;;
        ltl=*) cc='-DNFAIR=3' pan="-a -f -N ${option#ltl=}" ;;
        bits=*) pan="$pan -w${option#bits=}" kind=' (bitstate: a sample)' ;;
        mem=*) mem=${option#mem=} ;;
        depth=*) depth=${option#depth=} ;;
        esac
    done
    [ -z "$kind" ] || cc="$cc -DBITSTATE"
    [ -n "$kind" ] || [ "$when" = small ] || cc="$cc -DCOLLAPSE"
    # most of a short run is the compiler's: it needs ten times as long to optimise a large model
    [ "$when" = small ] && cc="-O0 $cc" || cc="-O2 $cc"
    rm -f pan* ./*.trail _spin*
    if ! spin -a $spin "$model" >spin.log 2>&1 || [ ! -f pan.c ] || grep -qi '^spin: .*error' spin.log ||
        ! "${CC:-cc}" -w $cc -DVECTORSZ=4096 -DMEMLIM="$mem" -o pan pan.c 2>>spin.log; then
        sed 's/^/# /' spin.log
        echo "not ok $n - $name: cannot be built"
        return
    fi
    nice timeout "${UVCSP_MODEL_SECONDS:-3000}" ./pan -m"$depth" $pan >pan.log 2>&1
    ended=$?
    error=$(grep -m1 '^pan:1:' pan.log)
    count=$(awk '/states, stored/ {print $1}' pan.log | head -1)
    seconds=$(awk '/elapsed time/ {print $4}' pan.log)
    found="${count:-?} states, ${seconds:-?} s$kind"
    verdict='not ok'
    case $expected in
    holds) # and nothing was left out: no limit of depth, memory or time was met
        if [ $ended = 0 ] && [ -z "$error" ] && grep -q 'errors: 0$' pan.log &&
            ! grep -q 'not completed\|depth too small\|out of memory' pan.log; then
            verdict=ok
        fi
        ;;
    fails:*)
        if echo "$error" | tr -d ' ' | grep -qF "${expected#fails:}"; then
            verdict=ok
            found="found: ${error#pan:1: }"
        fi
        ;;
    esac
    echo "$verdict $n - $name: $found"
    if [ "$verdict" != ok ]; then
        echo "# spin -a$spin; gcc $cc; pan -m$depth $pan: status $ended; ${error:-no error}" >&2
        cat spin.log pan.log | tail -n 40 >&2
        [ ! -f "$(basename "$model").trail" ] || spin -t -p -g -k "$(basename "$model").trail" $spin "$model" 2>/dev/null | tail -n "${UVCSP_MODEL_TRAIL:-60}" >&2
    fi
}

n=0
sed -n 's/^ *@ //p' "$model" >list
while read -r when expected name options; do
    if [ $# -gt 0 ]; then
        case " $* " in *" $name "*) ;; *) continue ;; esac
    elif [ "$when" != "$size" ]; then
        continue
    fi
    n=$((n + 1))
    verify "$expected" "$name" $options
done <list
if [ $n = 0 ]; then
    echo "1..0 # SKIP this model has no $size runs"
else
    echo "1..$n"
fi
