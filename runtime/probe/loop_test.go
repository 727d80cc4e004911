package probe

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
)

// asked runs a loop for a while on a clock of its own, and returns when it asked and how
// often its verdict turned.
func asked(t *testing.T, p v1.Probe, eager, well bool, during time.Duration, answer func(at time.Duration) Result) (times []time.Duration, turns []bool, told int) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), during)
		defer cancel()
		l := &Loop{
			Probe: &p, Started: began, Eager: eager, Well: well,
			Ask: func(context.Context) (Result, string) {
				at := time.Since(began)
				times = append(times, at)
				return answer(at), ""
			},
			Tell:   func(Result, string) { told++ },
			Turned: func(well bool) bool { turns = append(turns, well); return true },
		}
		l.Run(ctx)
	})
	return times, turns, told
}

func always(r Result) func(time.Duration) Result {
	return func(time.Duration) Result { return r }
}

func defaults() v1.Probe {
	return v1.Probe{PeriodSeconds: 10, SuccessThreshold: 1, FailureThreshold: 3}
}

func TestProbeIsAskedOncePerPeriodAfterItsDelay(t *testing.T) {
	p := defaults()
	p.InitialDelaySeconds = 15
	times, turns, _ := asked(t, p, false, true, time.Minute, always(Success))
	if want := []time.Duration{15 * time.Second, 25 * time.Second, 35 * time.Second, 45 * time.Second, 55 * time.Second}; !slices.Equal(times, want) {
		t.Errorf("asked at %v, want %v", times, want)
	}
	if len(turns) > 0 {
		t.Errorf("turned %v", turns)
	}
}

func TestThresholds(t *testing.T) {
	p := defaults()
	p.SuccessThreshold = 2
	// Fails from 21 s to 51 s: asked at 1, 11, 21, …
	_, turns, told := asked(t, p, false, true, 100*time.Second, func(at time.Duration) Result {
		if at > 20*time.Second && at < 50*time.Second {
			return Failure
		}
		return Success
	})
	if want := []bool{false, true}; !slices.Equal(turns, want) || told != 3 {
		t.Errorf("turned %v, want %v; told %d times", turns, want, told)
	}
}

func TestUnknownAnswerChangesNothing(t *testing.T) {
	times, turns, told := asked(t, defaults(), false, true, 45*time.Second, always(Unknown))
	if len(turns) > 0 || told != 5 || len(times) != 5*unknownTries {
		t.Errorf("asked %d times, told %d times, turned %v", len(times), told, turns)
	}
}

func TestEagerLoopAsksOutOfTurnUntilItIsWell(t *testing.T) {
	times, turns, told := asked(t, defaults(), true, false, 30*time.Second, func(at time.Duration) Result {
		if at < 300*time.Millisecond {
			return Failure
		}
		return Success
	})
	ms := time.Millisecond
	if want := []time.Duration{10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 1000 * ms, 11 * time.Second, 21 * time.Second}; !slices.Equal(times, want) {
		t.Errorf("asked at %v, want %v", times, want)
	}
	if !slices.Equal(turns, []bool{true}) || told != 0 {
		t.Errorf("turned %v, told %d times", turns, told)
	}
}

func TestEarlyFailuresDoNotCount(t *testing.T) {
	p := defaults()
	p.FailureThreshold = 1
	_, turns, told := asked(t, p, true, false, 900*time.Millisecond, always(Failure))
	if len(turns) > 0 || told > 0 {
		t.Errorf("turned %v, told %d times", turns, told)
	}
}
