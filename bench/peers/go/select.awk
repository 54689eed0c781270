# Writes select.go: functions that are one select statement of 1, 2, 4, ... cases, by their width, which Go wants
# written out. In the table `reading` the cases read, in `writing` they write.
function table(name, before, after, widest,    n, i) {
    print "\nvar " name " = map[int]func([]chan int){"
    for (n = 1; n <= widest; n *= 2) {
        print "\t" n ": func(c []chan int) {\n\t\tselect {"
        for (i = 0; i < n; i++)
            print "\t\tcase " before "c[" i "]" after ":"
        print "\t\t}\n\t},"
    }
    print "}"
}
BEGIN {
    print "// Written by select.awk.\npackage main"
    table("reading", "<-", "", 1024)
    table("writing", "", " <- 1", 64)
}
