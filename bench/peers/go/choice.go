// Choice: Go's select statement over n channels, by the functions that select.awk writes.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func find(table map[int]func([]chan int), name string, n int) func([]chan int) {
	choose := table[n]
	if choose == nil {
		fmt.Fprintln(os.Stderr, "no select of that width:", name)
		os.Exit(2)
	}
	return choose
}

func measureChoice(name string, choose func([]chan int), c []chan int) {
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

func altAll(name string, n int) {
	c := channels(n)
	for i := range c {
		go source(c[i])
	}
	measureChoice(name, find(reading, name, n), c)
}

func altOne(name string, n int) {
	c := channels(n)
	c[n-1] = make(chan int, 1024)
	go source(c[n-1])
	measureChoice(name, find(reading, name, n), c)
}

func altOut(name string, n int) {
	c := channels(n)
	for i := range c {
		go sink(c[i])
	}
	measureChoice(name, find(writing, name, n), c)
}

func altNone(name string, n int) {
	choose := find(reading, name, n)
	c, turn := channels(n), make(chan int)
	go func() {
		for i := 0; ; i = (i + 1) % n {
			<-turn
			c[i] <- 1
		}
	}()
	runtime.Gosched()
	b := begin()
	for {
		for i := 0; i < 100; i++ {
			turn <- i
			choose(c)
		}
		if !b.goesOn(100) {
			break
		}
	}
	tell(name, b.ns(), "ns")
}

func sink(in chan int) {
	for {
		<-in
	}
}
