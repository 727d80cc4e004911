package cli

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/daemon"
)

// waitInterval is how long a command may be silent, and how often it looks what it waits for.
const waitInterval = time.Second

// waiting tells the user on stderr what a command waits for, whenever that has changed, until
// stop is called. What takes less than waitInterval is not worth a word.
func (e *env) waiting(what func(context.Context) string) (stop func()) {
	ctx, cancel := context.WithCancel(e.ctx)
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(waitInterval)
		defer tick.Stop()
		for last := ""; ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if now := what(ctx); now != last && ctx.Err() == nil {
				fmt.Fprintln(e.stderr, now)
				last = now
			}
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}

// untilStopped says what a stop waits for.
func untilStopped(cfg daemon.Config) func(context.Context) string {
	return func(ctx context.Context) string {
		left, err := daemon.Remaining(ctx, cfg)
		if err == nil && len(left.Pods) > 0 {
			return untilEnded(left.Pods)
		}
		return "waiting for the daemon to end"
	}
}

// untilReset says what a reset waits for.
func untilReset(cfg daemon.Config) func(context.Context) string {
	return func(ctx context.Context) string {
		switch left, err := daemon.Remaining(ctx, cfg); {
		case err != nil:
			return fmt.Sprintf("waiting for Docker: %v", err)
		case len(left.Pods) > 0:
			return untilEnded(left.Pods)
		case left.Containers > 0:
			return fmt.Sprintf("waiting for %s to be removed", count(left.Containers, "container"))
		}
		return "waiting for the network, the rules and the files to be removed"
	}
}

// namedPods is how many pods are named of those that a command waits for.
const namedPods = 5

func untilEnded(pods []string) string {
	text := fmt.Sprintf("waiting for %s to end: ", count(len(pods), "pod"))
	if more := len(pods) - namedPods; more > 0 {
		return text + fmt.Sprintf("%s and %d more", strings.Join(pods[:namedPods], ", "), more)
	}
	return text + strings.Join(pods, ", ")
}
