package runtime

import (
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// What a Pod's containers, as Docker has them, say of themselves.

// wasStarted tells that the container runs or ended: it is not one that waits for its start.
func wasStarted(i instance) bool { return i.Running() || ended(i) }

// ended tells that the container ran and ended, or could not be started.
func ended(i instance) bool {
	switch i.Status {
	case docker.StatusRunning, docker.StatusPaused:
		return false
	case docker.StatusCreated:
		return i.Error != ""
	}
	return true
}

// finishedAt is the time of the end; Docker has none for what never started.
func finishedAt(i instance) time.Time {
	if i.FinishedAt.IsZero() {
		return i.Created
	}
	return i.FinishedAt
}

// latestOf is the newest instance of a container that ended, id aside.
func latestOf(have []instance, container, id string) (last instance, ok bool) {
	for _, i := range have {
		if i.container == container && i.ID != id && ended(i) {
			last, ok = i, true
		}
	}
	return last, ok
}

// surplus are the instances before the last two of each container: the last one and
// the one that `logs --previous` shows.
func surplus(have []instance) (out []instance) {
	count := map[string]int{}
	for n := len(have) - 1; n >= 0; n-- {
		i := have[n]
		count[i.container]++
		if count[i.container] > 2 && !i.isSandbox() && !i.Running() {
			out = append(out, i)
		}
	}
	return out
}

// unstarted are containers that were created and wait for their start.
func unstarted(have []instance) (out []instance) {
	for _, i := range have {
		if !i.isSandbox() && !wasStarted(i) {
			out = append(out, i)
		}
	}
	return out
}

// running are those that run.
func running(have []instance) (out []instance) {
	for _, i := range have {
		if i.Running() {
			out = append(out, i)
		}
	}
	return out
}
