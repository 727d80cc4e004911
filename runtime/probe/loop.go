package probe

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
)

const (
	// settling is how long after its start a container is first asked in earnest: a
	// kubelet learns of a start within a second, and programs rely on that much.
	settling = time.Second
	// eager is when a container that is not known to be well is asked out of turn, and
	// then after twice as long each time, until that is the probe's own period.
	eager = 10 * time.Millisecond
	// eagerExec is the same for commands, which cost the engine a process each.
	eagerExec = 200 * time.Millisecond
	// unknownTries is how often an answer is sought that the prober failed to get.
	unknownTries = 3
)

// Loop asks with one probe of one container.
type Loop struct {
	Probe *v1.Probe // with the API's defaults filled in
	// Started is when the container was.
	Started time.Time
	// Well is what is believed before the first answer.
	Well bool
	// Eager has a container that is not well yet asked out of turn too, so that one which
	// comes up soon is known to be well soon. Such a failure does not count and is not
	// told. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Probe
	Eager bool
	// Ask gets one answer.
	Ask func(context.Context) (Result, string)
	// Tell is called with each answer in turn that is not a plain success, for its event.
	Tell func(Result, string)
	// Turned is called when the container is well for as many answers as the probe's
	// successThreshold says, or not for as many as its failureThreshold; if it returns
	// false the loop ends.
	Turned func(well bool) bool
}

// Run asks until ctx ends, or Turned returns false.
func (l *Loop) Run(ctx context.Context) {
	period := time.Duration(max(l.Probe.PeriodSeconds, 1)) * time.Second
	from := l.Started.Add(time.Duration(l.Probe.InitialDelaySeconds) * time.Second)
	if now := time.Now(); from.Before(now) {
		from = now
	}
	turn := from
	if settled := l.Started.Add(settling); turn.Before(settled) {
		turn = settled
	}
	early, wait := l.earlyTries(from)
	c := counter{well: l.Well, told: l.Well, probe: l.Probe}
	for {
		inTurn := early.IsZero() || !early.Before(turn)
		at := turn
		if !inTurn {
			at = early
		}
		if !sleepUntil(ctx, at) {
			return
		}
		result, output := l.answer(ctx)
		if ctx.Err() != nil {
			return
		}
		if inTurn {
			turn = nextTurn(turn, period)
			if result != Success {
				l.Tell(result, output)
			}
		} else {
			early, wait = early.Add(wait), 2*wait
		}
		if turned := c.count(result, inTurn); turned && !l.Turned(c.well) {
			return
		}
		if c.well || wait > period {
			early = time.Time{}
		}
	}
}

// earlyTries are the time of the first early try, if there is one, and the wait until the second.
func (l *Loop) earlyTries(from time.Time) (time.Time, time.Duration) {
	if !l.Eager || l.Well {
		return time.Time{}, 0
	}
	wait := eager
	if l.Probe.Exec != nil {
		wait = eagerExec
	}
	return from.Add(wait), wait
}

// nextTurn skips the turns that a slow answer took.
func nextTurn(turn time.Time, period time.Duration) time.Time {
	turn = turn.Add(period)
	if now := time.Now(); turn.Before(now) {
		return now
	}
	return turn
}

// answer asks again at once when the prober itself failed.
func (l *Loop) answer(ctx context.Context) (result Result, output string) {
	for range unknownTries {
		if result, output = l.Ask(ctx); result != Unknown || ctx.Err() != nil {
			return result, output
		}
	}
	return result, output
}

// counter applies the thresholds.
type counter struct {
	probe *v1.Probe
	well  bool
	told  bool // what well says was told, or need not be
	last  Result
	run   int32
}

// count adds an answer and tells whether it turned the verdict.
func (c *counter) count(r Result, inTurn bool) bool {
	if r == Warning {
		r = Success
	}
	if r == Unknown || r == Failure && !inTurn {
		return false
	}
	if r == c.last {
		c.run++
	} else {
		c.last, c.run = r, 1
	}
	need := c.probe.SuccessThreshold
	if r == Failure {
		need = c.probe.FailureThreshold
	}
	well := r == Success
	if c.run < need || c.told && well == c.well {
		return false
	}
	c.well, c.told = well, true
	return true
}

// sleepUntil returns false if ctx ends first.
func sleepUntil(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
