# Is it well-formed XML, as far as our plots go? Tags that match, attributes in double quotes, no stray `&` or `<`.
{ text = text $0 "\n" }
function wrong(why) { print FILENAME ": " why; failed = 1; exit 1 }
END {
    if (failed)
        exit 1
    sub(/^<\?xml[^?]*\?>/, "", text)
    while (match(text, /<[^>]*>/)) {
        between = substr(text, 1, RSTART - 1)
        tag = substr(text, RSTART + 1, RLENGTH - 2)
        text = substr(text, RSTART + RLENGTH)
        gsub(/&(amp|lt|gt|quot);/, "", between)
        if (between ~ /[<&]/)
            wrong("a stray `<` or `&`: " between)
        if (tag ~ /^\//) {
            if (depth == 0 || open[depth--] != substr(tag, 2))
                wrong("closed and not opened: " tag)
            continue
        }
        name = tag
        sub(/[ \n\/].*/, "", name)
        rest = substr(tag, length(name) + 1)
        gsub(/[ \n]+[A-Za-z:-]+="[^"<]*"/, "", rest)
        if (rest !~ /^[ \n]*\/?$/)
            wrong("in <" name ">:" rest)
        n++
        if (rest !~ /\/$/)
            open[++depth] = name
    }
    if (depth != 0 || n < 3 || text ~ /[<&]/)
        wrong(depth ? "not closed: " open[depth] : "nothing in it")
}
