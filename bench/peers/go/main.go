// The cases of bench/uvcsp in Go: the same networks, named alike, goroutines in the place of processes of
// either sort. BENCH_SECONDS and BENCH_CLOCK as in bench/common.h.
package main

import (
	"fmt"
	"os"
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

func channels(n int) []chan int {
	c := make([]chan int, n)
	for i := range c {
		c[i] = make(chan int)
	}
	return c
}

func oneWay(name string, capacity int) {
	c := make(chan int, capacity)
	go source(c)
	consume(c, name, 1)
}

// ---- many channels between two

func channelsInTurn(name string, n int) {
	c := channels(n)
	go func() {
		for i := 0; ; i++ {
			for k := range c {
				c[k] <- i
			}
		}
	}()
	for k := range c {
		<-c[k]
	}
	b := begin()
	rounds := 1 + 1000/n
	for {
		for i := 0; i < rounds; i++ {
			for k := range c {
				<-c[k]
			}
		}
		if !b.goesOn(rounds * n) {
			break
		}
	}
	tell(name, b.ns(), "ns")
}

// ---- many at one channel. With GOMAXPROCS=1 nobody interrupts who counts.

func crowd(name string, readers, writers int) {
	c, done := make(chan int), make(chan bool)
	taken, enough, over := 0, readers+writers+1000, false
	var b *bench
	for i := 0; i < writers; i++ {
		go source(c)
	}
	for i := 0; i < readers; i++ {
		go func() {
			for {
				<-c
				if over { // then nobody goes on, or main might wait for its turn for minutes
					select {}
				}
				if taken++; taken < enough {
					continue
				}
				if b == nil {
					b = begin()
				} else if !b.goesOn(taken) {
					tell(name, b.ns(), "ns")
					over = true
					done <- true
				}
				taken = 0
			}
		}()
	}
	<-done
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
		{"channels-", channelsInTurn},
		{"waiting-readers-", func(name string, n int) { crowd(name, n, 1) }},
		{"readers-and-writers-", func(name string, n int) { crowd(name, n, n) }},
		{"alt-all-", altAll},
		{"alt-one-", altOne},
		{"alt-none-", altNone},
		{"alt-out-", altOut},
		{"alt-far-", altFar},
		{"alt-alt-", altAlt},
		{"any-buffered-", func(name string, _ int) { anyToAny(name, 128) }},
		{"any-", func(name string, _ int) { anyToAny(name, 0) }},
		{"round-trip-", roundTrip},
		{"far-one-way-", func(name string, n int) { stream(name, n, 0) }},
		{"stream-", func(name string, n int) { stream(name, n, 128) }},
		{"ring-", ring},
		{"spawn-", spawn},
		{"sieve-", sieve},
		{"poison-", poison},
		{"parked-", func(name string, n int) { parked(name, n, 1) }},
		{"own-channel-", func(name string, n int) { parked(name, n, n) }},
	}
cases:
	for _, name := range os.Args[1:] {
		for _, kind := range kinds {
			if !strings.HasPrefix(name, kind.prefix) {
				continue
			}
			rest := strings.SplitN(name[len(kind.prefix):], "x", 2)[0]
			if number, err := strconv.Atoi(rest); err == nil || rest == "" {
				kind.run(name, number)
				continue cases
			}
		}
		fmt.Fprintln(os.Stderr, "no such case:", name)
		os.Exit(2)
	}
}
