package cli

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatTakesLongSaysWhatItWaitsForWheneverThatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr bytes.Buffer
		e := &env{ctx: t.Context(), stderr: &stderr}
		soon := e.waiting(func(context.Context) string { return "too soon" })
		time.Sleep(waitInterval / 2)
		soon()
		began := time.Now()
		stop := e.waiting(func(context.Context) string {
			switch seconds := time.Since(began) / time.Second; {
			case seconds < 3:
				return untilEnded([]string{"a/b", "c/d"})
			case seconds < 6:
				return untilEnded([]string{"a/1", "a/2", "a/3", "a/4", "a/5", "a/6", "a/7"})
			}
			return untilEnded([]string{"c/d"})
		})
		time.Sleep(10 * time.Second)
		stop()
		const want = "waiting for 2 pods to end: a/b, c/d\n" +
			"waiting for 7 pods to end: a/1, a/2, a/3, a/4, a/5 and 2 more\n" +
			"waiting for 1 pod to end: c/d\n"
		if got := stderr.String(); got != want {
			t.Errorf("got:\n%swant:\n%s", got, want)
		}
		time.Sleep(10 * time.Second)
		if stderr.String() != want {
			t.Errorf("goes on after the end: %q", &stderr)
		}
	})
}
