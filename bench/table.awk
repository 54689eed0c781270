# Makes the table for a terminal from what figures.awk has written.
function short(x) {
    return x == "" ? "-" : sprintf(x >= 1000 ? "%.0f" : x >= 100 ? "%.1f" : x >= 10 ? "%.2f" : x >= 0.01 ? "%.3f" : "%.5f", x)
}
/^M/ { printf "%-12s %s\n", $2, $3 }
/^S/ { printf "\n%s\n", toupper($3) }
/^P/ {
    printf "\n%s%s\n", $2, $3 == "" ? "" : " (by " $3 ")"
    printf "  %-26s %-5s%-20s %10s %-3s %21s %9s\n", "case", "", "", "median", "", "quartiles", "times"
}
/^C/ { name = $2; on = $4 == "any" || $4 == "cpu" ? "" : $4; unit = $5 }
/^F/ {
    printf "  %-26s %-5s%-20s %10s %-3s %10s %10s %9s\n", name, on, $2, short($3), unit, short($4), short($5), short($9)
    name = on = ""
}
/^G/ {
    printf "  %26s %s: %s (%s..%s) %s\n", "goal", $2, short($3), short($4), short($5), $7 == "yes" ? "reached" : "NOT REACHED"
    n_goals++
    n_reached += $7 == "yes"
}
/^V/ {
    printf "  %26s %-20s %s times at the last point, growth x^%.2f%s\n", "steepness", $2, short($3), $6,
        $5 == "-" ? "" : sprintf(", limit %s: %s", short($4), $5 == "yes" ? "kept" : "NOT KEPT")
}
END {
    printf "\ntimes: as often as the first of the case, median of the rounds' ratios. one, all: pinned to one processor\n"
    printf "(all: their processor time); load: every processor busy with other work.\n%d of %d goals reached\n", n_reached, n_goals
}
