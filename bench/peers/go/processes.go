// Goroutines: what it costs to have many, to start and to end them; and their memory.
package main

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

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
	perLook := 1
	if n < 1000 {
		perLook = 1000 / n
	}
	b := begin()
	for {
		for i := 0; i < perLook; i++ {
			first <- 0
			<-last
		}
		if !b.goesOn(n * perLook) {
			break
		}
	}
	tell(name, b.ns(), "ns")
}

// ---- processes

func startAndJoin(n int) {
	var group sync.WaitGroup
	group.Add(n)
	for k := 0; k < n; k++ {
		go group.Done()
	}
	group.Wait()
}

func spawn(name string, n int) {
	perLook := 1000 / n
	if perLook < 1 {
		perLook = 1
	}
	for i := 0; n <= 1000 && i < perLook; i++ { // of many, the first time is what counts
		startAndJoin(n)
	}
	b := begin()
	for {
		for i := 0; i < perLook; i++ {
			startAndJoin(n)
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

// ---- a chain of goroutines that wait, each ended by the one before

func poison(name string, n int) {
	b := begin()
	taken := 0.0
	for {
		var group sync.WaitGroup
		group.Add(n)
		c := channels(n + 1)
		for i := 0; i < n; i++ {
			go func(in, out chan int) {
				for x := range in {
					out <- x
				}
				close(out)
				group.Done()
			}(c[i], c[i+1])
		}
		runtime.Gosched()
		start := now()
		close(c[0])
		group.Wait()
		taken += now() - start
		if !b.goesOn(n) {
			break
		}
	}
	tell(name, taken*1e9/b.n, "ns")
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
