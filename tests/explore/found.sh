#!/bin/sh
# found.sh PROGRAM ARGS...: a program in which a rule is broken has to find that out.
out=$("$@" 2>&1) && { echo "$out"; echo "the broken rule was not found"; exit 1; }
echo "$out" | head -n 40
echo "$out" | grep -Eq 'not by the rules|this must hold|Sanitizer|runtime error'
