# Makes the tables of ../docs/performance.md from what figures.awk has written: a line for each case; of each
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
function flush() {
    if (name == "")
        return
    if (curve)
        points = points
    else
        printf "| %s%s | %s | %s |\n", name, on == "any" || on == "cpu" ? "" : " (" on ")", figures, goals
    name = figures = goals = ""
}
/^S/ { flush(); curve = $4 == "curves"; printf "\n### %s\n", $3 }
/^P/ {
    flush()
    if (curve)
        printf "\n**%s**, by the number of %s\n\n| | growth | limit |\n| --- | --- | --- |\n", $2, $3
    else
        printf "\n**%s**\n\n| case | median (half the distance of the quartiles) | goal |\n| --- | --- | --- |\n", $2
}
/^C/ { flush(); name = $2; on = $4; unit = $5 }
/^F/ {
    figures = figures (figures == "" ? "" : "; ") $2 " " human($3, unit) sprintf(" (%.0f %%)", $3 > 0 ? 50 * ($5 - $4) / $3 : 0)
}
/^G/ {
    goals = goals (goals == "" ? "" : "; ") sprintf("`%s`: %s, %s", $2, short($3), $7 == "yes" ? "reached" : "**not reached**")
}
/^V/ {
    flush()
    printf "| %s | %s times, n^%.2f | %s |\n", $2, short($3), $6, $5 == "-" ? "-" : short($4) ($5 == "yes" ? ", kept" : ", **not kept**")
}
END { flush() }
