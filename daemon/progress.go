package daemon

import (
	"context"
	"log/slog"
	"time"
)

// Step is a part of the start that is done.
type Step struct {
	// Name says what is there now, such as "API server".
	Name string `json:"name"`
	// Detail is what a user may want to know of it, such as an address.
	Detail string `json:"detail,omitempty"`
	// Took is how long it took, since the step before it.
	Took time.Duration `json:"took"`
	// Ready is set on the last step.
	Ready bool `json:"ready,omitempty"`
}

// steps reports the start's steps and their times.
type steps struct {
	report func(Step)
	log    *slog.Logger
	last   time.Time
}

func (s *steps) done(name, detail string) { s.send(Step{Name: name, Detail: detail}) }

func (s *steps) ready(name, detail string) { s.send(Step{Name: name, Detail: detail, Ready: true}) }

func (s *steps) send(step Step) {
	now := time.Now()
	step.Took = now.Sub(s.last).Round(time.Millisecond)
	s.last = now
	s.log.Info("started", "step", step.Name, "detail", step.Detail, "took", step.Took)
	s.report(step)
}

// upstream passes on what Kubernetes' packages log that is of use to somebody who reads
// this daemon's log: warnings and errors, but not that a client has hung up, which they
// call an error.
type upstream struct{ slog.Handler }

// hangsUp tells of a client that has gone: a WebSocket of `kubectl exec`, a `port-forward`
// that was interrupted, a watch that was left.
func hangsUp(r slog.Record) bool {
	switch r.Message {
	case "Error on socket receive", "Error proxying data from client to backend":
		return true
	case "Failed to encode watch event":
		closed := false
		r.Attrs(func(a slog.Attr) bool {
			closed = a.Key == "err" && a.Value.String() == "http2: stream closed"
			return !closed
		})
		return closed
	}
	return false
}

// Enabled is slog.Handler's.
func (h upstream) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

// Handle is slog.Handler's.
func (h upstream) Handle(ctx context.Context, r slog.Record) error {
	if hangsUp(r) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs is slog.Handler's.
func (h upstream) WithAttrs(attrs []slog.Attr) slog.Handler {
	return upstream{h.Handler.WithAttrs(attrs)}
}

// WithGroup is slog.Handler's.
func (h upstream) WithGroup(name string) slog.Handler { return upstream{h.Handler.WithGroup(name)} }
