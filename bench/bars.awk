# A plot of the section `-v section`: for each case a bar for each participant, side by side on a logarithmic axis;
# the thin line at the end of a bar is the distance of the quartiles, the dashed one marks a goal.
function x_of(v,    x) {
    x = LEFT + (RIGHT - LEFT) * log(v / low) / log(high / low)
    return x < LEFT ? LEFT : x
}
# One case at height y: returns the height below it.
function draw_case(c, y,    f, x, y0, g, height, label, mark, goal_y) {
    y0 = y
    out = out text(24, y + 11, "case ink", its_title[c] (its_on[c] ~ /one|all/ && panel !~ /one processor/ ? " (one processor)" : ""))
    for (f = 1; f <= n_figures[c]; f++) {
        x = x_of(value[c, f])
        out = out text(LEFT - 8, y + 10, "end quiet", label_of(who[c, f]))
        out = out rect(LEFT, y + 1, x - LEFT < 1.5 ? 1.5 : x - LEFT, 12, 2, "bar " who[c, f])
        if (x_of(upper[c, f]) - x_of(lower[c, f]) > 1.5)
            out = out line(x_of(lower[c, f]), y + 7, x_of(upper[c, f]), y + 7, "spread")
        label = x_of(upper[c, f]) > x ? x_of(upper[c, f]) : x
        for (g = 1; g <= n_goals[c]; g++) { # beside the mark of the goal, not upon it
            mark = x_of(goal_at[c, g])
            if (goal_who[c, g] == who[c, f] && mark > label - 4 && mark < label + 60 && goal_at[c, g] < high)
                label = mark
        }
        out = out sprintf("<text x=\"%.1f\" y=\"%.1f\" class=\"ink\">%s%s</text>\n", label + 6, y + 11,
            human(value[c, f], sizes), f > 1 && times[c, f] != "" ? \
            "<tspan dx=\"8\" class=\"quiet\">" (times[c, f] >= 1 ? three(times[c, f]) : sprintf("%.2g", times[c, f])) "\303\227</tspan>" : "")
        for (g = 1; g <= n_goals[c]; g++)
            if (goal_who[c, g] == who[c, f]) {
                if (goal_at[c, g] > low && goal_at[c, g] < high)
                    out = out line(x_of(goal_at[c, g]), y - 1, x_of(goal_at[c, g]), y + 15, "goal")
                goal_y = y + 11 + 14 * goals_at[c, f]++
                out = out text(WIDTH - 24, goal_y, "end " (goal_met[c, g] == "yes" ? "good" : "bad"), goal_text[c, g])
            }
        y += 15
    }
    for (f = 1; f <= n_figures[c]; f++) # several goals of one bar need their lines
        if (goals_at[c, f] > 1 && y0 + 15 * (f - 1) + 14 * goals_at[c, f] > y)
            y = y0 + 15 * (f - 1) + 14 * goals_at[c, f]
    return y + 9
}
function draw_panel(y,    c, f, top, v) {
    low = high = 0
    for (c = first_case; c <= n_cases; c++)
        for (f = 1; f <= n_figures[c]; f++) {
            v = value[c, f]
            if (low == 0 || v < low)
                low = v
            if (v > high)
                high = v
        }
    if (low == 0)
        return y
    low = begins(low)
    high *= 1.1
    if (high < low * 10)
        high = low * 10
    out = out text(24, y + 14, "panel ink", panel)
    top = y + 38
    y = top + 8
    body = ""
    keep = out
    out = ""
    for (c = first_case; c <= n_cases; c++)
        if (n_figures[c])
            y = draw_case(c, y)
    body = out
    out = keep rect(12, top, WIDTH - 24, y - top, 6, "sheet")
    for (v = 10 ^ floor(log10(low)); v <= high; v *= 10)
        if (v >= low) {
            out = out line(x_of(v), top, x_of(v), y, "grid") text(x_of(v), top - 5, "mid quiet", plain(v, sizes))
        }
    out = out body
    return y + 24
}
function finish_panel() {
    if (panel != "")
        bottom = draw_panel(bottom)
    panel = ""
}
BEGIN { WIDTH = 960; LEFT = 330; RIGHT = 720; bottom = 80 }
/^S/ { finish_panel(); next }
!inside { next }
/^P/ { finish_panel(); panel = $2; first_case = n_cases + 1; sizes = 0; next }
/^C/ { its_title[++n_cases] = $3; its_name[n_cases] = $2; its_on[n_cases] = $4; unit = scale($5); sizes = sizes || $5 == "B"; next }
/^F/ {
    f = ++n_figures[n_cases]
    who[n_cases, f] = $2
    value[n_cases, f] = ($3 > 0 ? $3 : 0.01) * unit
    lower[n_cases, f] = ($4 > 0 ? $4 : 0.01) * unit
    upper[n_cases, f] = ($5 > 0 ? $5 : 0.01) * unit
    times[n_cases, f] = $9
    median[its_name[n_cases], its_on[n_cases], $2] = $3 * unit
}
/^G/ {
    g = ++n_goals[n_cases]
    n = split($2, w, " ")
    goal_who[n_cases, g] = w[1]
    against = w[2] == "/" ? (w[4] == "of" ? w[5] : label_of(w[3])) : ""
    at = w[2] == "/" ? median[w[4] == "of" ? w[5] : its_name[n_cases], its_on[n_cases], w[3]] : unit
    goal_at[n_cases, g] = $6 * at
    goal_met[n_cases, g] = $7
    if (against == "")
        goal_text[n_cases, g] = ($7 == "yes" ? "\342\234\223" : "\342\234\227") " at most " human($6 * unit, sizes)
    else
        goal_text[n_cases, g] = ($7 == "yes" ? "\342\234\223 " : "\342\234\227 ") share($3) " of " against ", goal " share($6)
}
function share(x) { return x >= 1 ? three(x) : x > 0.6 ? sprintf("%.2f", x) : "1/" (1 / x >= 9.95 ? sprintf("%.0f", 1 / x) : sub_zero(sprintf("%.1f", 1 / x))) }
function sub_zero(s) { sub(/\.0$/, "", s); return s }
END {
    finish_panel()
    printf "%s", page(WIDTH, bottom, section_title)
    printf "%s%s</svg>\n", text(24, 58, "quiet", machine_line()), out
}
