# What the plots have in common: colours for light and dark, text, numbers, logarithmic axes. bars.awk and lines.awk
# are read after it. Colours: those of uvcsp are warm and strong, those of others cool, bare system calls grey.
function style(class, light, dark) {
    light_rules = light_rules sprintf(".%s{fill:%s;stroke:%s}\n", class, light, light)
    dark_rules = dark_rules sprintf(".%s{fill:%s;stroke:%s}\n", class, dark, dark)
}
function styles() {
    style("uvcsp", "#e4572e", "#ff7a50")
    style("uvcsp-asleep", "#f3a58d", "#a8553c")
    style("uvcsp-pipe", "#e4572e", "#ff7a50")
    style("uvcsp-pipe-asleep", "#f3a58d", "#a8553c")
    style("uvcsp-shared", "#c2185b", "#ff5c93")
    style("uvcsp-shared-asleep", "#e08fb0", "#9c3d60")
    style("go", "#1a86ad", "#4fc0e8")
    style("go-2", "#7fc1d9", "#2b7793")
    style("python", "#3f6fb5", "#7da7e8")
    style("zeromq", "#5a9e6f", "#6fc38a")
    style("nng", "#8a7fc0", "#a99ee6")
    style("socketpair", "#77808a", "#a3adb8")
    style("pipe", "#949ca6", "#868f9a")
    style("futex", "#aab1b9", "#727b86")
    style("spin", "#5f6872", "#bcc5cf")
    style("memcpy", "#8c949d", "#949da8")
    style("fork", "#77808a", "#a3adb8")
    return sprintf("<style>\n" \
        "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;font-size:11px;stroke:none!important}\n" \
        ".title{font-size:20px;font-weight:600}.panel{font-size:14px;font-weight:600}.case{font-size:12px}.end{text-anchor:end}" \
        ".mid{text-anchor:middle}\n.curve{stroke-width:2;stroke-linejoin:round}.quartile{stroke-width:5;stroke-opacity:.3}.dot{stroke-width:1.5}" \
        ".bar{stroke:none}.spread{stroke-width:1.5;fill:none}.grid{stroke-width:1}.goal{stroke-width:1.5;stroke-dasharray:2 2}\n" \
        "%s.paper{fill:#ffffff;stroke:#e3e6ea}.ink{fill:#1f2328}.quiet{fill:#68717b}.grid{stroke:#e3e6ea}.spread{stroke:#1f2328}" \
        ".goal{stroke:#1f2328}.good{fill:#2b7a3d}.bad{fill:#b3261e}.sheet{fill:#f7f8fa;stroke:none}\n" \
        "@media (prefers-color-scheme:dark){\n%s.paper{fill:#14181d;stroke:#2c333b}.ink{fill:#e6eaee}.quiet{fill:#97a1ac}" \
        ".grid{stroke:#2c333b}.spread{stroke:#e6eaee}.goal{stroke:#e6eaee}.good{fill:#6fcf87}.bad{fill:#ff8a80}.sheet{fill:#1a1f26;stroke:none}\n}\n" \
        "</style>\n", light_rules, dark_rules)
}
function escape(s) {
    gsub(/&/, "\\&amp;", s)
    gsub(/</, "\\&lt;", s)
    gsub(/>/, "\\&gt;", s)
    return s
}
function text(x, y, class, s) {
    return sprintf("<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, class, escape(s))
}
function line(x1, y1, x2, y2, class) {
    return sprintf("<path d=\"M%.1f %.1fL%.1f %.1f\" class=\"%s\"/>\n", x1, y1, x2, y2, class)
}
function rect(x, y, w, h, r, class) {
    return sprintf("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"%g\" class=\"%s\"/>\n", x, y, w, h, r, class)
}
# Times are kept in nanoseconds, sizes in bytes.
function scale(unit) { return unit == "us" ? 1e3 : unit == "ms" ? 1e6 : 1 }
function three(x) { return sprintf(x >= 99.95 ? "%.0f" : x >= 9.995 ? "%.1f" : "%.2f", x) }
function human(x, size) {
    if (size)
        return x >= 1048576 ? three(x / 1048576) " MiB" : x >= 1024 ? three(x / 1024) " KiB" : three(x) " B"
    return x >= 1e9 ? three(x / 1e9) " s" : x >= 1e6 ? three(x / 1e6) " ms" : x >= 1e3 ? three(x / 1e3) " \302\265s" : three(x) " ns"
}
# A round number, for an axis.
function plain(x, size,    s) {
    s = human(x, size)
    sub(/\.0+ /, " ", s)
    return s
}
function log10(x) { return log(x) / log(10) }
function floor(x) { return x >= 0 ? int(x) : x == int(x) ? x : int(x) - 1 }
# Where the axis of values from `least` to `most` begins: 1, 2 or 5 times a power of ten, well below the least.
function begins(least,    power, m) {
    power = 10 ^ floor(log10(least / 1.6))
    m = least / 1.6 / power
    return power * (m >= 5 ? 5 : m >= 2 ? 2 : 1)
}
# What a participant is called beside its bar or line.
function label_of(name,    s) {
    s = title_of[name]
    sub(/^bare /, "", s)
    sub(/^shared memory, /, "", s)
    sub(/UVCSP_SPIN=0/, "asleep", s)
    sub(/, GOMAXPROCS=1/, "", s)
    sub(/, GOMAXPROCS=2/, ", 2 threads", s)
    sub(/ multiprocessing/, "", s)
    sub(/ and waitpid/, "", s)
    return s
}
function page(width, height, title,    s) {
    s = sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n",
        width, height, width, height)
    s = s "<title>" escape(title) "</title>\n" styles()
    s = s rect(0.5, 0.5, width - 1, height - 1, 8, "paper")
    s = s text(24, 38, "title ink", title)
    return s
}
function machine_line() {
    return word["processor"] ", " word["processors"] " processors; " word["kernel"] "; medians of " word["rounds"] (word["rounds"] == 1 ? " round, " : " rounds, ") word["date"] \
        (busy[3] > 1 ? ", on a busy machine" : "") "; shorter is better, the axes are logarithmic"
}
/^M/ { word[$2] = $3; if ($2 == "load") split($3, busy, " ") }
/^W/ { title_of[$2] = $3 }
/^S/ { inside = $2 == section; if (inside) section_title = $3 }
