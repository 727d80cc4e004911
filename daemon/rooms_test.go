package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestRoomsStopInReverse(t *testing.T) {
	var stopped []string
	r := newRooms(t.Context())
	for _, name := range []string{"store", "API", "agent"} {
		r.start(name, func(ctx context.Context) error {
			<-ctx.Done()
			stopped = append(stopped, name) // one room stops at a time
			return ctx.Err()
		})
	}
	if err := r.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if want := []string{"agent", "API", "store"}; !slices.Equal(stopped, want) {
		t.Errorf("stopped %v, want %v", stopped, want)
	}
}

func TestARoomThatEndsByItselfIsReported(t *testing.T) {
	broken := errors.New("broken")
	for name, result := range map[string]error{"with an error": broken, "without one": nil} {
		r := newRooms(t.Context())
		r.start("agent", func(context.Context) error { return result })
		err := <-r.failed
		if !strings.Contains(err.Error(), "agent") || (result != nil && !errors.Is(err, broken)) {
			t.Errorf("%s: reported %v", name, err)
		}
		if err := r.stop(); !errors.Is(err, result) && result != nil {
			t.Errorf("%s: stop: %v", name, err)
		}
	}
}

func TestRoomsOutliveTheirCallersContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := newRooms(ctx)
	alive := make(chan bool)
	r.start("API", func(ctx context.Context) error {
		cancel()
		alive <- ctx.Err() == nil
		<-ctx.Done()
		return nil
	})
	if !<-alive {
		t.Error("a room ended with the signal; the pods could not be stopped through it")
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}
