package e2e

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// trafficPause lies between two requests, so that the client leaves some of the machine to those it asks.
const trafficPause = 5 * time.Millisecond

// traffic is a client on this machine that requests all the time, each time on a new connection.
type traffic struct {
	url        string
	stop, done chan struct{}

	mu       sync.Mutex // guards what follows
	answers  int
	failures []error
}

// requestAllTheTime starts a client. It ends with the test at the latest.
func requestAllTheTime(t *testing.T, url string) *traffic {
	client := &traffic{url: url, stop: make(chan struct{}), done: make(chan struct{})}
	go client.run()
	t.Cleanup(client.end)
	return client
}

func (c *traffic) run() {
	defer close(c.done)
	for {
		_, _, err := get(c.url)
		c.mu.Lock()
		if err == nil {
			c.answers++
		} else {
			c.failures = append(c.failures, fmt.Errorf("%s: %w", time.Now().Format(time.StampMilli), err))
		}
		c.mu.Unlock()
		select {
		case <-c.stop:
			return
		case <-time.After(trafficPause):
		}
	}
}

// end is safe to call again.
func (c *traffic) end() {
	c.mu.Lock()
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.mu.Unlock()
	<-c.done
}

func (c *traffic) seen() (answers int, failures []error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answers, c.failures
}

// waitForMore waits for that many answers more than there are now.
func (c *traffic) waitForMore(t *testing.T, more int) {
	t.Helper()
	had, _ := c.seen()
	eventually(t, func() error {
		answers, failures := c.seen()
		if answers < had+more {
			return fmt.Errorf("%s has answered %d times since, want %d; failures: %w", c.url, answers-had, more, errors.Join(failures...))
		}
		return nil
	})
}

// check ends the client and fails if one of its requests did.
func (c *traffic) check(t *testing.T) {
	t.Helper()
	c.end()
	answers, failures := c.seen()
	if len(failures) > 0 {
		t.Errorf("%d of %d requests to %s failed: %v", len(failures), answers+len(failures), c.url, errors.Join(failures[:min(5, len(failures))]...))
	}
}

// nodePort is the address on this machine where the first port of a Service answers.
func (n namespace) nodePort(t *testing.T, service string) string {
	t.Helper()
	port := n.value(t, "service/"+service, "{.spec.ports[0].nodePort}")
	if port == "" {
		t.Fatalf("service/%s has no nodePort", service)
	}
	return "http://localhost:" + strings.TrimSpace(port)
}
