// The cases between workers: goroutines on threads, with GOMAXPROCS=2 on as many processors.
package main

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

func onlyEight(name string, n int) {
	if n != 8 {
		fmt.Fprintln(os.Stderr, "only messages of 8 bytes:", name)
		os.Exit(2)
	}
}

func roundTrip(name string, n int) {
	onlyEight(name, n)
	there, back := make(chan int64), make(chan int64)
	go func() {
		for {
			back <- <-there
		}
	}()
	b := begin()
	for {
		for i := int64(0); i < 10; i++ {
			there <- i
			<-back
		}
		if !b.goesOn(10) {
			break
		}
	}
	tell(name, b.ns()/1e3, "us")
}

func stream(name string, n, capacity int) {
	onlyEight(name, n)
	c := make(chan int64, capacity)
	go func() {
		for i := int64(0); ; i++ {
			c <- i
		}
	}()
	b := begin()
	for {
		for i := 0; i < 100; i++ {
			<-c
		}
		if !b.goesOn(100) {
			break
		}
	}
	tell(name, b.ns()/1e3, "us")
}

// How many messages a reader has got; a cache line each.
type count struct {
	n int64
	_ [56]byte
}

func watch(name string, counts []count) {
	sum := func() float64 {
		total := int64(0)
		for i := range counts {
			total += atomic.LoadInt64(&counts[i].n)
		}
		return float64(total)
	}
	time.Sleep(20 * time.Millisecond)
	b := begin()
	before := sum()
	for sum() == before {
		time.Sleep(time.Duration(b.limit * float64(time.Second)))
	}
	b.goesOn(int(sum() - before))
	tell(name, b.ns(), "ns")
}

func anyToAny(name string, capacity int) {
	var writers, readers int
	fmt.Sscanf(name[strings.LastIndex(name, "-")+1:], "%dx%d", &writers, &readers)
	c, counts := make(chan int, capacity), make([]count, readers)
	for i := 0; i < writers; i++ {
		go source(c)
	}
	for i := range counts {
		go func(mine *count) {
			for {
				<-c
				atomic.AddInt64(&mine.n, 1)
			}
		}(&counts[i])
	}
	watch(name, counts)
}

func choosing(choose func([]chan int), c []chan int, mine *count) {
	for {
		choose(c)
		atomic.AddInt64(&mine.n, 1)
	}
}

func altFar(name string, n int) {
	c, counts := channels(n), make([]count, 1)
	for i := range c {
		go source(c[i])
	}
	go choosing(find(reading, name, n), c, &counts[0])
	watch(name, counts)
}

func altAlt(name string, n int) {
	c, counts, others := channels(n), make([]count, 1), make([]count, 1)
	go choosing(find(writing, name, n), c, &others[0])
	go choosing(find(reading, name, n), c, &counts[0])
	watch(name, counts)
}
