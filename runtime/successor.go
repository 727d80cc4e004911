package runtime

import (
	"context"
	"sync"

	v1 "k8s.io/api/core/v1"
)

// news wakes everybody who waits when something changed. Who is woken looks for himself.
type news struct {
	mu   sync.Mutex    // guards next
	next chan struct{} // closed at the next change; nil: nobody waits
}

// wait returns a channel that is closed at the next change.
func (n *news) wait() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next == nil {
		n.next = make(chan struct{})
	}
	return n.next
}

// tell wakes those who wait now.
func (n *news) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next != nil {
		close(n.next)
		n.next = nil
	}
}

// successor waits for the run of a Pod's container after the one with that ID, and
// returns its ID. There is none if the container has done its part, or its Pod ends.
func (a *Agent) successor(ctx context.Context, ref podRef, container, id string) (next string, ok bool) {
	for {
		changed := a.news.wait()
		pod := a.declared(ref)
		if pod == nil || pod.DeletionTimestamp != nil || isFinal(pod.Status.Phase) {
			return "", false
		}
		next, may := successorIn(a.mirror.pod(ref.uid), pod, container, id)
		if next != "" || !may {
			return next, next != ""
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", false
		}
	}
}

// successorIn looks for a later run that has started; may tells whether one may come.
func successorIn(have []instance, pod *v1.Pod, container, id string) (next string, may bool) {
	c := findContainer(pod, container)
	if c == nil {
		return "", false
	}
	may, passed, round := true, false, roundOf(pod, have)
	for _, i := range have { // oldest first
		switch {
		case i.container != container:
		case i.ID == id:
			passed = true
			may = !ended(i) || mayRunAgain(pod, c, i.ExitCode) || i.round < round && ephemeral(pod, c.Name) == nil
		case passed && !i.StartedAt.IsZero():
			return i.ID, true
		}
	}
	return "", may && passed
}

// mayRunAgain: an init container that failed does, and so does whatever the restart policy
// says.
func mayRunAgain(pod *v1.Pod, c *v1.Container, exitCode int) bool {
	for n := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[n].Name == c.Name && !isSidecar(c) {
			return exitCode != 0 && restarts(pod, c, exitCode)
		}
	}
	return runsAgain(pod, c, exitCode)
}
