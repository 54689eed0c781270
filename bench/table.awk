# Makes the table of `run` from its plan and from what was measured. The ratio is the median of the ratios
# of the rounds, with the least and the greatest; the spread is that of our own figures, half of the
# distance between the quartiles, in per cent of the median.
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
# The values of a case in all rounds, sorted, into `list`.
function collect(label, who, list,    r, n) {
    n = 0
    for (r = 1; r <= rounds; r++)
        if ((label, who, r) in value)
            list[++n] = value[label, who, r] + 0
    sort(list, n)
    return n
}
function short(x) {
    return x == "" ? "-" : sprintf(x >= 1000 ? "%.0f" : x >= 100 ? "%.1f" : x >= 10 ? "%.2f" : "%.3f", x)
}
function verdict(wish, median, ratio,    w) {
    if (split(wish, w, " ") != 2)
        return "-"
    if (w[1] == "ratio")
        return ratio == "" ? "no peer" : sprintf("%s %s", short(w[2]), ratio <= w[2] ? "yes" : "NO")
    return sprintf("%s %s", short(w[2]), median <= w[2] ? "yes" : "NO")
}
function row(label, wish, goal,    a, b, c, n, m, k, r, median, peer, ratio, range, spread) {
    n = collect(label, "uvcsp", a)
    if (n == 0) {
        printf "%-32s %s\n", label, "failed"
        return
    }
    median = quantile(a, n, 0.5)
    spread = median ? 50 * (quantile(a, n, 0.75) - quantile(a, n, 0.25)) / median : 0
    m = collect(label, "peer", b)
    peer = m ? quantile(b, m, 0.5) : ""
    ratio = range = ""
    for (r = 1; r <= rounds; r++)
        if ((label, "uvcsp", r) in value && value[label, "peer", r] + 0 > 0)
            c[++k] = value[label, "uvcsp", r] / value[label, "peer", r]
    if (k) {
        sort(c, k)
        ratio = quantile(c, k, 0.5)
        range = short(c[1]) ".." short(c[k])
    }
    printf "%-32s %9s %5.0f%% %9s %-3s %7s %15s  %-11s %s\n", label, short(median), spread, short(peer),
        unit[label], short(ratio), range, verdict(wish, median, ratio), verdict(goal, median, ratio)
}
FNR == NR {
    order[++n_cases] = $1
    target[$1] = $5
    later[$1] = $6
    next
}
{
    value[$2, $3, $1] = $4
    unit[$2] = $5
    if ($1 > rounds)
        rounds = $1 + 0
    if (!($2 in target) && !($2 in seen)) { # a second figure of some case
        seen[$2]
        extra[++n_extra] = $2
    }
}
END {
    printf "%-32s %9s %6s %9s %-3s %7s %15s  %-11s %s\n", "case", "uvcsp", "spread", "peer", "", "ratio",
        "of all rounds", "target", "goal"
    for (i = 1; i <= n_cases; i++)
        row(order[i], target[order[i]], later[order[i]])
    for (i = 1; i <= n_extra; i++)
        row(extra[i], "-", "-")
    printf "%d rounds; medians; @1: pinned to one processor; asleep: with UVCSP_SPIN=0\n", rounds
    print "the peer of light processes is Go with GOMAXPROCS=1, that of workers bare system calls: see `cases`"
}
