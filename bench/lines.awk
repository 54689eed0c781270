# The curves: small plots, two in a row, cost against number, both axes logarithmic.
function x_of(v) { return x0 + (x1 - x0) * (x_high > x_low ? log(v / x_low) / log(x_high / x_low) : 0.5) }
function y_of(v) { return y1 - (y1 - y0) * log(v / y_low) / log(y_high / y_low) }
function number(x) { return x % 1000 ? x : x >= 1000000 ? x / 1000000 "M" : x / 1000 "k" }
function draw_panel(    p, w, v, k, path, dots, last, gap, n_labels, i, j) {
    column = n_panels % 2
    row = int(n_panels / 2)
    n_panels++
    left = 12 + column * 472
    top = 76 + row * 268
    x0 = left + 62; x1 = left + 360; y0 = top + 52; y1 = top + 208
    x_low = point[1]; x_high = point[n_points]
    y_low = y_high = 0
    for (p = 1; p <= n_points; p++)
        for (w = 1; w <= n_who; w++)
            if ((p, w) in value) {
                if (y_low == 0 || value[p, w] < y_low) y_low = value[p, w]
                if (value[p, w] > y_high) y_high = value[p, w]
            }
    if (y_low == 0)
        return
    y_low = begins(y_low)
    y_high *= 1.3
    if (y_high < y_low * 20)
        y_high = y_low * 20
    out = out rect(left, top, 464, 256, 6, "sheet") text(left + 14, top + 22, "panel ink", panel)
    for (v = 10 ^ floor(log10(y_low)); v <= y_high; v *= 10)
        if (v >= y_low)
            out = out line(x0, y_of(v), x1, y_of(v), "grid") text(x0 - 8, y_of(v) + 4, "end quiet", plain(v, 0))
    for (p = 1; p <= n_points; p++)
        if (n_points <= 7 || (p % 2))
            out = out text(x_of(point[p]), y1 + 16, "mid quiet", number(point[p]))
    out = out text((x0 + x1) / 2, y1 + 34, "mid quiet", x_label)
    n_labels = 0
    for (w = n_who; w >= 1; w--) {
        path = dots = ""
        last = 0
        for (p = 1; p <= n_points; p++)
            if ((p, w) in value) {
                path = path sprintf("%s%.1f %.1f", path == "" ? "M" : "L", x_of(point[p]), y_of(value[p, w]))
                dots = dots sprintf("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\" class=\"dot %s\"/>\n", x_of(point[p]), y_of(value[p, w]), name[w])
                if (lower[p, w] > 0 && upper[p, w] > lower[p, w])
                    dots = dots line(x_of(point[p]), y_of(lower[p, w]), x_of(point[p]), y_of(upper[p, w]), "quartile " name[w])
                last = p
            }
        if (!last)
            continue
        out = out sprintf("<path d=\"%s\" class=\"curve %s\" style=\"fill:none\"/>\n", path, name[w]) dots
        n_labels++
        label_y[n_labels] = y_of(value[last, w]) + 4
        label_x[n_labels] = x_of(point[last]) + 9
        label[n_labels] = label_of(name[w])
        label_value[n_labels] = human(value[last, w], 0)
        label_class[n_labels] = name[w]
    }
    for (i = 1; i <= n_labels; i++) # not one upon the other
        for (j = 1; j < i; j++) {
            gap = label_y[i] - label_y[j]
            if (gap < 26 && gap > -26)
                label_y[i] = label_y[j] + (gap >= 0 ? 26 : -26)
        }
    for (i = 1; i <= n_labels; i++)
        out = out text(label_x[i], label_y[i] - 3, label_class[i], label[i]) text(label_x[i], label_y[i] + 10, "quiet", label_value[i])
    out = out text(left + 14, top + 38, "quiet", growth)
}
function finish_panel() {
    if (panel != "")
        draw_panel()
    panel = growth = ""
    n_points = n_who = 0
    split("", value); split("", index_of); split("", lower); split("", upper)
}
/^S/ { finish_panel(); next }
!inside { next }
/^P/ { finish_panel(); panel = $2; x_label = $3; next }
/^C/ { point[++n_points] = $3; unit = scale($5); next }
/^F/ {
    if (!($2 in index_of)) {
        index_of[$2] = ++n_who
        name[n_who] = $2
    }
    w = index_of[$2]
    value[n_points, w] = ($3 > 0 ? $3 : 0.01) * unit
    lower[n_points, w] = ($4 > 0 ? $4 : 0.01) * unit
    upper[n_points, w] = ($5 > 0 ? $5 : 0.01) * unit
}
/^V/ {
    growth = growth (growth == "" ? "" : ";  ") label_of($2) " \303\227" three($3) \
        ($5 == "-" ? "" : $5 == "yes" ? " \342\234\223" : " \342\234\227 (limit \303\227" three($4) ")")
}
END {
    finish_panel()
    height = 76 + int((n_panels + 1) / 2) * 268 + 8
    printf "%s", page(960, height, section_title)
    printf "%s%s</svg>\n", text(24, 58, "quiet", machine_line() " \302\267 \303\227: last point to first"), out
}
