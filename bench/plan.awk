# Reads `cases` and `curves`, and writes what is to be measured, a line for each, fields separated by tabs:
#   S name title kind             a section, of cases or of curves
#   P title x-label               a panel
#   C case title on who goals     a figure; of a curve: its point in the place of the title, and no goals
#   L case- who limit             the end of a curve: how steep it may be
# `-v wanted`: patterns of cases, separated by spaces, as the shell's with `*`; none: all. `-v tiny=1`: all
# numbers above 4 are 4, uvcsp alone, no load: to see whether it runs at all.
function trim(s) { gsub(/^[ \t]+|[ \t]+$/, "", s); return s }
function pick(name,    i) {
    if (n_wanted == 0)
        return 1
    for (i = 1; i <= n_wanted; i++)
        if (name ~ pattern[i])
            return 1
    return 0
}
function small(name,    head, number) {
    if (!tiny || !match(name, /[0-9]+$/) || name ~ /x[0-9]+$/)
        return name
    head = substr(name, 1, RSTART - 1)
    number = substr(name, RSTART) + 0
    return head (number > 4 ? 4 : number)
}
function ours(who,    w, n, i, out) {
    if (!tiny)
        return who
    n = split(who, w, " ")
    for (i = 1; i <= n; i++)
        if (w[i] ~ /^uvcsp/)
            out = out (out == "" ? "" : " ") w[i]
    return out
}
function head() {
    if (section != "")
        print section
    if (panel != "")
        print panel
    section = panel = ""
}
BEGIN {
    FS = "|"
    OFS = "\t"
    n_wanted = split(wanted, pattern, " ")
    for (i = 1; i <= n_wanted; i++) {
        gsub(/[.+?()^$\\{}\[\]]/, ".", pattern[i])
        gsub(/\*/, ".*", pattern[i])
        pattern[i] = "^" pattern[i] "$"
    }
}
/^#/ || /^[ \t]*$/ { next }
/^==/ {
    name = trim(substr($1, 3))
    kind = name == "curves" ? "curves" : "cases"
    section = "S" OFS name OFS trim($2) OFS kind
    next
}
/^--/ {
    panel = "P" OFS trim(substr($1, 3)) OFS trim($2)
    next
}
kind == "cases" {
    name = small(trim($1))
    n = split(trim($3), on, " ")
    who = ours(trim($4))
    if (tiny)
        n = 1
    for (i = 1; i <= n; i++) {
        if (!pick(trim($1)) || who == "" || (tiny && on[i] == "load") || (tiny && (name, on[i]) in seen))
            continue
        seen[name, on[i]]
        head()
        print "C", name, trim($2), on[i], who, tiny ? "" : trim($5)
    }
}
kind == "curves" {
    name = trim($1)
    n = split(trim($3), point, " ")
    who = ours(trim($4))
    any_point = 0
    for (i = 1; i <= n; i++) {
        if (!(pick(name point[i]) || pick(name)) || (tiny && point[i] > 4))
            continue
        any_point = 1
        head()
        print "C", name point[i], point[i], trim($2), who, ""
    }
    if (any_point)
        print "L", name, who, trim($5)
}
