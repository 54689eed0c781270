# Makes the part `Figures` of ../docs/performance.md from what figures.awk has written: a line for each case; of each
# participant the median and, in per cent of it, half of the distance between the quartiles.
function short(x) {
    return x == "" ? "-" : sprintf(x >= 100 ? "%.0f" : x >= 10 ? "%.1f" : x >= 1 ? "%.2f" : "%.3f", x)
}
function human(x, unit) {
    if (unit == "us") { x *= 1e3; unit = "ns" }
    if (unit == "ms") { x *= 1e6; unit = "ns" }
    if (unit == "ns") {
        if (x >= 1e9) return short(x / 1e9) " s"
        if (x >= 1e6) return short(x / 1e6) " ms"
        if (x >= 1e3) return short(x / 1e3) " us"
    }
    return short(x) " " unit
}
function place(on) {
    return on == "one" || on == "all" ? ", one processor" : on == "load" ? ", loaded" : ""
}
function finish() {
    if (name != "" && !curve)
        out = out sprintf("| `%s`%s | %s | %s |\n", name, place(on), figures, goals)
    name = figures = goals = ""
}
/^M/ { word[$2] = $3 }
/^S/ {
    finish()
    curve = $4 == "curves"
    out = out sprintf("\n### %s\n\n![%s](performance/%s.svg)\n", $3, $3, $2)
}
/^P/ {
    finish()
    out = out sprintf("\n**%s**%s\n\n", $2, curve ? ", by the number of " $3 : "")
    out = out (curve ? "| who | last point to first | limit |\n" : "| case | median (half the distance of the quartiles) | goal |\n")
    out = out "| --- | --- | --- |\n"
}
/^C/ { finish(); name = $2; on = $4; unit = $5 }
/^F/ {
    figures = figures (figures == "" ? "" : "; ") $2 " **" human($3, unit) "**" sprintf(" (%.0f %%)", $3 > 0 ? 50 * ($5 - $4) / $3 : 0)
}
/^G/ {
    n_goals++
    n_reached += $7 == "yes"
    goals = goals (goals == "" ? "" : "; ") sprintf("%s: %s, %s", $2, short($3), $7 == "yes" ? "reached" : "**not reached**")
    if ($7 != "yes")
        missed = missed sprintf("| `%s`%s | %s | %s (%s to %s) |\n", name, place(on), $2, short($3), short($4), short($5))
}
/^V/ {
    finish()
    out = out sprintf("| %s | %s times, n^%.2f | %s |\n", $2, short($3), $6, $5 == "-" ? "-" : short($4) ($5 == "yes" ? ", kept" : ", **not kept**"))
}
END {
    finish()
    printf "## Figures\n\n"
    printf "Measured on %s with uvcsp %s: %s, %s processors, %s, %s; %s; Go %s, Python %s, libuv %s, ZeroMQ %s, nng %s. %s rounds of %s seconds. ",
        word["date"], word["uvcsp"], word["processor"], word["processors"], word["memory"], word["kernel"], word["compiler"], word["go"],
        word["python"], word["libuv1-dev"], word["libzmq3-dev"], word["libnng-dev"], word["rounds"], word["seconds"]
    n = other(word["load"])
    if (n > 0)
        printf "**The machine was busy**: by the load of the last fifteen minutes some %d other programs ran. Cases of one worker (go-2 apart) and those marked " \
            "*one processor* are counted in processor time and hold; all others (two processors, loaded) say little, whether they " \
            "reach a goal or not.\n\n", n
    else
        printf "The machine was quiet.\n\n"
    printf "%d of %d goals are reached. ", n_reached, n_goals
    if (missed != "")
        printf "Not reached:\n\n| case | goal | ratio (quartiles) |\n| --- | --- | --- |\n%s", missed
    else
        print ""
    printf "%s\n", out
}
function other(load,    w) { split(load, w, " "); return int(w[3]) }
