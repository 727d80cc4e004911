package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// tally is what the clients of a load have seen.
type tally struct {
	mu                 sync.Mutex // guards what follows
	requests, failures int
	versions           map[string]int
}

// load requests until it is terminated or the time is up. Its last line is "requests=N failures=M"; before it, each
// failure has a line, and each Echo-Version one with its count.
func load(args []string) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	duration := flags.Duration("for", 24*time.Hour, "how long")
	pause := flags.Duration("pause", 5*time.Millisecond, "between two requests of a client")
	timeout := flags.Duration("timeout", requestTimeout, "of a request")
	least := flags.Int("least", 0, "requests that each client makes, also when the load is ended before")
	clients := flags.Int("clients", 1, "how many request at once")
	if flags.Parse(args) != nil || flags.NArg() != 1 {
		return errUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *duration)
	defer cancel()
	seen := tally{versions: map[string]int{}}
	var all sync.WaitGroup
	for n := range *clients {
		all.Go(func() {
			// They do not all ask at the same moment.
			wait := *pause * time.Duration(n) / time.Duration(*clients)
			for made := 0; ; made++ {
				ended := ctx.Done()
				if made < *least {
					ended = nil
				}
				select {
				case <-ended:
					return
				case <-time.After(wait):
				}
				seen.request(flags.Arg(0), *timeout)
				wait = *pause
			}
		})
	}
	all.Wait()
	for version, count := range seen.versions {
		fmt.Printf("version=%s answers=%d\n", version, count)
	}
	fmt.Printf("requests=%d failures=%d\n", seen.requests, seen.failures)
	if seen.failures > 0 {
		return errors.New("requests failed")
	}
	return nil
}

// request makes one, which the end of the load does not cut short.
func (s *tally) request(url string, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	header, _, err := get(ctx, url)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if err != nil {
		s.failures++
		fmt.Printf("%s request %d failed: %v\n", time.Now().Format(time.StampMilli), s.requests, err)
		return
	}
	version := header.Get("Echo-Version")
	if version == "" {
		return
	}
	s.versions[version]++
	if s.versions[version] == 1 {
		fmt.Println("first answer of version", version)
	}
}
