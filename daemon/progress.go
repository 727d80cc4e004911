package daemon

import (
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
