package apiserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// A connection that is used again must not carry over a deadline of the request
// before: net/http sets one in the past to wake its own reader.
func TestManyRequestsOverFewConnections(t *testing.T) {
	t.Parallel()
	listener := NewMemoryListener()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select { // long enough for a late timer to strike
		case <-r.Context().Done():
			t.Errorf("cancelled while its client waits: %v", r.Context().Err())
		case <-time.After(300 * time.Microsecond):
		}
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return listener.Dial(ctx) },
	}}
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			for range 200 {
				resp, err := client.Get("http://memory/")
				if err != nil {
					t.Errorf("GET: %v", err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	group.Wait()
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	<-done
}

func TestDialAfterClose(t *testing.T) {
	listener := NewMemoryListener()
	listener.Close()
	if _, err := listener.Dial(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial: %v, want net.ErrClosed", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := NewMemoryListener().Dial(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Dial without anybody who accepts: %v, want the deadline's error", err)
	}
}
