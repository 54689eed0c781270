# count.awk [-v broken=1]: counts the cases in meson's testlog.json. Each line of it is a test, and a test
# that speaks TAP has many cases. A test that ended badly counts as a failure even if all its cases passed.
# To run nothing is a failure, and so is a run that is said to be broken.
match($0, /, "result": "[A-Z]+"/) {
    result = substr($0, RSTART + 13, RLENGTH - 14)
    out = substr($0, 1, RSTART)
    sub(/.*"stdout": "/, "", out)
    n = split(out, line, /\\n/)
    good = bad = skip = 0
    for (i = 1; i <= n; i++) {
        if (line[i] ~ /^ok [0-9]+ .*# SKIP/) skip++
        else if (line[i] ~ /^ok [0-9]/) good++
        else if (line[i] ~ /^not ok [0-9]/) bad++
    }
    if (result == "SKIP" && good + bad + skip == 0) skip++
    else if (result != "OK" && result != "SKIP" && result != "EXPECTEDFAIL") bad += bad == 0
    else good += good + bad + skip == 0
    passed += good
    failed += bad
    skipped += skip
}
END {
    if (failed == 0 && (passed == 0 || broken)) failed = 1
    printf "%d passed, %d failed%s\n", passed, failed, skipped ? ", " skipped " skipped" : ""
    exit failed != 0
}
