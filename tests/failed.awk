# failed.awk: says which tests in meson's testlog.json ended badly, with the cases that failed and the end of what
# they wrote on standard error.
match($0, /, "result": "[A-Z]+"/) {
    result = substr($0, RSTART + 13, RLENGTH - 14)
    if (result == "OK" || result == "SKIP" || result == "EXPECTEDFAIL") next
    name = $0
    sub(/^{"name": "/, "", name)
    sub(/".*/, "", name)
    print name ": " result
    out = substr($0, 1, RSTART)
    sub(/.*"stdout": "/, "", out)
    n = split(out, line, /\\n/)
    for (i = 1; i <= n; i++)
        if (line[i] ~ /^not ok [0-9]/) print "    " line[i]
    err = $0
    if (sub(/.*"stderr": "/, "", err)) {
        n = split(err, line, /\\n/)
        for (i = n > 20 ? n - 20 : 1; i <= n; i++) print "    | " substr(line[i], 1, 300)
    }
}
