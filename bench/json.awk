# Makes JSON from what figures.awk has written. The schema is described in ../docs/performance.md.
function text(s) {
    gsub(/\\/, "\\\\", s)
    gsub(/"/, "\\\"", s)
    gsub(/[\001-\037]/, " ", s)
    return "\"" s "\""
}
function number(x) { return x == "" || x == "-" ? "null" : sprintf("%.6g", x) }
function comma(is_first) { return is_first ? "" : ",\n" }
function end_case() {
    if (in_case)
        printf "\n     ], \"goals\": [%s]}", goals
    in_case = 0
    goals = ""
}
function end_panel() {
    end_case()
    if (in_panel)
        printf "\n   ], \"growth\": [%s]}", growth
    in_panel = 0
    growth = ""
}
function end_section() {
    end_panel()
    if (in_section)
        printf "\n  ]}"
    in_section = 0
}
BEGIN { printf "{\"schema\": \"uvcsp-bench-1\",\n \"machine\": {"; stage = "M" }
/^M/ { printf "%s%s: %s", n_m++ ? ", " : "", text($2), text($3) }
/^W/ {
    if (stage == "M")
        printf "},\n \"participants\": {"
    stage = "W"
    printf "%s%s: %s", n_w++ ? ", " : "", text($2), text($3)
}
/^S/ {
    if (stage != "S")
        printf "},\n \"sections\": [\n"
    stage = "S"
    end_section()
    printf "%s  {\"name\": %s, \"title\": %s, \"kind\": %s, \"panels\": [\n", comma(!n_s++), text($2), text($3), text($4)
    in_section = 1
    n_p = 0
}
/^P/ {
    end_panel()
    printf "%s   {\"title\": %s, \"x\": %s, \"cases\": [\n", comma(!n_p++), text($2), $3 == "" ? "null" : text($3)
    in_panel = 1
    n_c = 0
}
/^C/ {
    end_case()
    printf "%s    {\"case\": %s, \"title\": %s, \"on\": %s, \"unit\": %s, \"figures\": [\n", comma(!n_c++), text($2),
        text($3), text($4), text($5)
    in_case = 1
    n_f = 0
}
/^F/ {
    printf "%s      {\"who\": %s, \"median\": %s, \"q1\": %s, \"q3\": %s, \"least\": %s, \"most\": %s, \"rounds\": %d, \"times\": %s}",
        comma(!n_f++), text($2), number($3), number($4), number($5), number($6), number($7), $8, number($9)
}
/^G/ {
    goals = goals (goals == "" ? "" : ", ") sprintf("{\"goal\": %s, \"value\": %s, \"q1\": %s, \"q3\": %s, \"limit\": %s, \"reached\": %s}",
        text($2), number($3), number($4), number($5), number($6), $7 == "yes" ? "true" : "false")
}
/^V/ {
    growth = growth (growth == "" ? "" : ", ") sprintf("{\"who\": %s, \"times\": %s, \"limit\": %s, \"kept\": %s, \"exponent\": %s}",
        text($2), number($3), number($4), $5 == "-" ? "null" : $5 == "yes" ? "true" : "false", number($6))
}
END {
    end_section()
    printf "%s\n ]}\n", stage == "S" ? "" : "}, \"sections\": ["
}
