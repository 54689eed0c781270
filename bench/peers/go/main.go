// The cases of bench/local.c and bench/memory.c in Go: the same networks, named alike. To be run with
// GOMAXPROCS=1; BENCH_SECONDS and BENCH_CLOCK as in bench/common.h.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

var began = time.Now()
var useCPU = os.Getenv("BENCH_CLOCK") == "cpu"

func now() float64 {
	if !useCPU {
		return time.Since(began).Seconds()
	}
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) * 1e-9
}

type bench struct{ limit, start, taken, n float64 }

func begin() *bench {
	limit, err := strconv.ParseFloat(os.Getenv("BENCH_SECONDS"), 64)
	if err != nil {
		limit = 0.2
	}
	return &bench{limit: limit, start: now()}
}

func (b *bench) goesOn(n int) bool {
	b.n += float64(n)
	b.taken = now() - b.start
	return b.taken < b.limit
}

func (b *bench) ns() float64 { return b.taken * 1e9 / b.n }

func tell(name string, value float64, unit string) { fmt.Printf("%s\t%.6g\t%s\n", name, value, unit) }

// ---- commstime

func prefix(in, out chan int) {
	out <- 0
	for {
		out <- <-in
	}
}

func successor(in, out chan int) {
	for {
		out <- <-in + 1
	}
}

func delta(in, a, b chan int) {
	for {
		x := <-in
		a <- x
		b <- x
	}
}

func writeOne(out chan int, x int, group *sync.WaitGroup) {
	out <- x
	group.Done()
}

func parallelDelta(in, a, b chan int) {
	var group sync.WaitGroup
	for {
		x := <-in
		group.Add(2)
		go writeOne(a, x, &group)
		go writeOne(b, x, &group)
		group.Wait()
	}
}

func consume(in chan int, name string, each int) {
	for i := 0; i < 1000; i++ {
		<-in
	}
	b := begin()
	for {
		for i := 0; i < 1000; i++ {
			<-in
		}
		if !b.goesOn(1000 * each) {
			break
		}
	}
	tell(name, b.ns(), "ns")
}

func commstime(name string, d func(in, a, b chan int)) {
	a, b, c, e := make(chan int), make(chan int), make(chan int), make(chan int)
	go prefix(e, a)
	go d(a, b, c)
	go successor(b, e)
	consume(c, name, 4)
}

// ---- two processes

func pingPong(name string, _ int) {
	there, back := make(chan int), make(chan int)
	go func() {
		for {
			back <- <-there
		}
	}()
	b := begin()
	for {
		for i := 0; i < 1000; i++ {
			there <- i
			<-back
		}
		if !b.goesOn(1000) {
			break
		}
	}
	tell(name, b.ns(), "ns")
}

func source(out chan int) {
	for i := 0; ; i++ {
		out <- i
	}
}

func oneWay(name string, capacity int) {
	c := make(chan int, capacity)
	go source(c)
	consume(c, name, 1)
}

// ---- choice

func alt(name string, n int) {
	choose := map[int]func([]chan int){2: select2, 8: select8, 64: select64}[n]
	if choose == nil {
		fmt.Fprintln(os.Stderr, "no such case:", name)
		os.Exit(2)
	}
	c := make([]chan int, n)
	for i := range c {
		c[i] = make(chan int)
		go source(c[i])
	}
	runtime.Gosched()
	b := begin()
	for {
		for i := 0; i < 1000; i++ {
			choose(c)
		}
		if !b.goesOn(1000) {
			break
		}
	}
	tell(name, b.ns(), "ns")
}

// ---- ring

func ring(name string, n int) {
	element := func(in, out chan int) {
		for {
			out <- <-in
		}
	}
	first := make(chan int)
	last := first
	for i := 0; i < n-1; i++ {
		next := make(chan int)
		go element(last, next)
		last = next
	}
	first <- 0
	<-last
	b := begin()
	for {
		first <- 0
		<-last
		if !b.goesOn(n) {
			break
		}
	}
	tell(name, b.ns(), "ns")
}

// ---- processes

func spawn(name string, n int) {
	perLook := 1000 / n
	if perLook < 1 {
		perLook = 1
	}
	b := begin()
	for {
		for i := 0; i < perLook; i++ {
			var group sync.WaitGroup
			group.Add(n)
			for k := 0; k < n; k++ {
				go group.Done()
			}
			group.Wait()
		}
		if !b.goesOn(n * perLook) {
			break
		}
	}
	tell(name, b.ns(), "ns")
}

func sieve(name string, n int) {
	start := now()
	c := make(chan int)
	go func() {
		for i := 2; ; i++ {
			c <- i
		}
	}()
	in := c
	for i := 0; ; i++ {
		prime := <-in
		if i == n-1 {
			break
		}
		next := make(chan int)
		go func(in, out chan int) {
			for {
				if n := <-in; n%prime != 0 {
					out <- n
				}
			}
		}(in, next)
		in = next
	}
	tell(name, (now()-start)*1e3, "ms")
}

// ---- memory

func status(field string) float64 {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if words := strings.Fields(lines.Text()); words[0] == field {
			value, _ := strconv.ParseFloat(words[1], 64)
			return value * 1024
		}
	}
	return 0
}

func parked(name string, n, channels int) {
	resident, tables := status("VmRSS:"), status("VmPTE:")
	c := make([]chan int, channels)
	for i := range c {
		c[i] = make(chan int)
	}
	for i := 0; i < n; i++ {
		go func(in chan int) { <-in }(c[i%channels])
	}
	runtime.Gosched()
	tell(name, (status("VmRSS:")-resident)/float64(n), "B")
	tell(name+"-page-tables", (status("VmPTE:")-tables)/float64(n), "B")
	runtime.KeepAlive(c)
}

func main() {
	kinds := []struct {
		prefix string
		run    func(name string, number int)
	}{
		{"commstime-seq", func(name string, _ int) { commstime(name, delta) }},
		{"commstime-par", func(name string, _ int) { commstime(name, parallelDelta) }},
		{"ping-pong", pingPong},
		{"one-way-buffered-", oneWay},
		{"one-way", oneWay},
		{"alt-", alt},
		{"ring-", ring},
		{"spawn-", spawn},
		{"sieve-", sieve},
		{"parked-", func(name string, n int) { parked(name, n, 1) }},
		{"own-channel-", func(name string, n int) { parked(name, n, n) }},
	}
cases:
	for _, name := range os.Args[1:] {
		for _, kind := range kinds {
			if strings.HasPrefix(name, kind.prefix) {
				number, _ := strconv.Atoi(name[len(kind.prefix):])
				kind.run(name, number)
				continue cases
			}
		}
		fmt.Fprintln(os.Stderr, "no such case:", name)
		os.Exit(2)
	}
}
