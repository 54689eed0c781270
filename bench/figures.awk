# Reads, in this order, what machine.sh says, who is there, the plan and what was measured, and writes figures, in the
# order of the plan, fields separated by tabs. Every value is the median over the rounds, with the quartiles:
#   M word value                                    the machine
#   W who title                                     a participant
#   S name title kind       P title x-label         as in the plan
#   C case title on unit                            a case, followed by
#   F who value q1 q3 least most rounds times       a figure; `times` that of the first participant: median of the
#                                                   ratios in each round (1 for the first)
#   G text ratio q1 q3 limit yes|no                 a goal
#   V who times limit yes|no|- exponent             of a curve: last point to first point, the limit, and the
#                                                   exponent of the growth between them
function sort(a, n,    i, j, x) {
    for (i = 2; i <= n; i++) {
        x = a[i]
        for (j = i - 1; j >= 1 && a[j] > x; j--)
            a[j + 1] = a[j]
        a[j + 1] = x
    }
}
function quantile(a, n, q,    at, low) {
    at = 1 + (n - 1) * q
    low = int(at)
    return low >= n ? a[n] : a[low] + (at - low) * (a[low + 1] - a[low])
}
# The values of a key in all rounds, and in all turns of a round, divided by those of another key in the same round and
# turn if there is one, sorted into `list`.
function collect(key, by, list,    i, r, n) {
    n = 0
    for (i = 1; i <= n_rounds; i++) {
        r = round[i]
        if ((key, r) in value && (by == "" || ((by, r) in value && value[by, r] > 0)))
            list[++n] = by == "" ? value[key, r] : value[key, r] / value[by, r]
    }
    sort(list, n)
    return n
}
function figure(key, who, first,    a, b, n, k) {
    n = collect(key, "", a)
    if (n == 0)
        return
    k = key == first ? 0 : collect(key, first, b)
    print "F", who, quantile(a, n, 0.5), quantile(a, n, 0.25), quantile(a, n, 0.75), a[1], a[n], n,
        k ? quantile(b, k, 0.5) : key == first ? 1 : ""
}
# `A / B of CASE <= LIMIT`, `A / B <= LIMIT`, `A <= LIMIT`
function goal(text, name, on,    w, n, key, by, of, list, k, limit, met) {
    n = split(text, w, " ")
    if (n < 3)
        return
    limit = w[n]
    key = name SUBSEP on SUBSEP w[1]
    if (w[2] == "/") {
        of = w[4] == "of" ? w[5] : name
        by = of SUBSEP on SUBSEP w[3]
    }
    k = collect(key, by, list)
    if (k == 0)
        return
    met = quantile(list, k, 0.5) <= limit ? "yes" : "no"
    print "G", text, quantile(list, k, 0.5), quantile(list, k, 0.25), quantile(list, k, 0.75), limit, met
}
function median(key,    list, n) {
    n = collect(key, "", list)
    return n ? quantile(list, n, 0.5) : ""
}
function verdict(curve, who, limit,    w, n, i, first, last, x, y, times, most) {
    n = split(who, w, " ")
    for (i = 1; i <= n; i++) {
        first = median(curve low_point SUBSEP curve_on SUBSEP w[i])
        last = median(curve high_point SUBSEP curve_on SUBSEP w[i])
        if (first == "" || last == "" || first == 0 || high_point == low_point)
            continue
        times = last / first
        x = high_point / low_point
        most = i > 1 ? "-" : limit == "linear" ? 1.125 * x : limit
        print "V", w[i], times, most, most == "-" ? "-" : times <= most ? "yes" : "no", log(times) / log(x)
    }
}
BEGIN { OFS = "\t" }
FNR == 1 { file++ }
file == 1 { print; next }
file == 2 { title[$1] = $2; here[++n_here] = $1; next }
file == 3 { plan[++n_plan] = $0; next }
$5 ~ /^[0-9.]+(e[-+]?[0-9]+)?$/ {
    value[$2, $3, $4, $1] = $5 + 0
    unit[$2] = $6
    if (!($1 in known)) {
        known[$1]
        round[++n_rounds] = $1
    }
    if (!(($2, $3) in planned))
        extra[$2] # a second figure of some case
}
END {
    for (i = 1; i <= n_here; i++)
        print "W", here[i], title[here[i]]
    for (i = 1; i <= n_plan; i++) {
        n = split(plan[i], p, "\t")
        if (p[1] == "S" || p[1] == "P") {
            print plan[i]
            low_point = ""
        } else if (p[1] == "L") {
            verdict(p[2], p[3], p[4])
        } else if (p[1] == "C") {
            if (low_point == "")
                low_point = p[3]
            high_point = p[3]
            curve_on = p[4]
            show(p[2], p[3], p[4], p[5], p[6])
            if ((p[2] "-page-tables") in unit)
                show(p[2] "-page-tables", p[3] ", page tables", p[4], p[5], "")
        }
    }
}
function show(name, its_title, on, who, goals,    w, n, i, g) {
    print "C", name, its_title, on, unit[name]
    n = split(who, w, " ")
    for (i = 1; i <= n; i++)
        figure(name SUBSEP on SUBSEP w[i], w[i], name SUBSEP on SUBSEP w[1])
    n = split(goals, g, ";")
    for (i = 1; i <= n; i++) {
        gsub(/^ +| +$/, "", g[i])
        goal(g[i], name, on)
    }
}
