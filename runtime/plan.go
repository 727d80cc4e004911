package runtime

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
)

// plan is what is missing between a Pod as declared and its containers as Docker has
// them. It is computed from nothing else but the Pod, the containers and the clock.
type plan struct {
	// finished: no container will run again; the Pod's phase is Succeeded or Failed.
	finished bool
	// sandbox is the one to use; its zero value asks for a new one.
	sandbox        instance
	sandboxAttempt int
	// sandboxLost: there was a sandbox, and it died.
	sandboxLost bool
	// end are containers that run and must not. While there are any nothing is started.
	end []instance
	// start are containers to create, unless they are, and to start.
	start []starting
	// discard are containers that were created for a sandbox which is gone and never ran.
	// They are removed before anything is started: their names are used again.
	discard []instance
	// remove are dead containers that nobody needs.
	remove []instance
	// backoff are containers that have to wait before they are started again.
	backoff []backoff
}

// startsAgain tells whether something that ran before is to run again.
func (p plan) startsAgain() bool {
	again := p.sandbox.ID == "" && p.sandboxAttempt > 0
	for _, s := range p.start {
		again = again || s.attempt > 0
	}
	return again
}

// starting is one container to start.
type starting struct {
	container *v1.Container
	attempt   int
	createdID string // it was created already, and not started
}

// backoff is one container that keeps failing.
type backoff struct {
	container string
	delay     time.Duration
	until     time.Time
}

// backoffs tells how long a container that ended has to wait; *crashes in the agent.
type backoffs interface {
	// waits returns the current delay and the time until which a container that ended
	// at finished must not start; ok is false when it may start now.
	waits(key string, finished time.Time) (delay time.Duration, until time.Time, ok bool)
}

// decide computes the plan.
func decide(pod *v1.Pod, have []instance, b backoffs) plan {
	d := &decision{pod: pod, latest: map[string]instance{}, backoffs: b}
	for _, i := range have {
		d.latest[i.container] = i // oldest first, so the latest stays
	}
	d.remove = surplus(have)
	if d.finished = podFinished(pod, d.latest); d.finished {
		d.end = running(have)
		return d.plan
	}
	d.findSandbox(have)
	for _, i := range have {
		stale := !i.isSandbox() && (i.sandboxID != d.sandbox.ID || d.sandbox.ID == "")
		if i.Running() && (stale || d.changed(i)) || i.isSandbox() && i.Running() && i.ID != d.sandbox.ID {
			d.end = append(d.end, i)
		}
		if stale && i.Status == docker.StatusCreated && !ended(i) {
			d.discard = append(d.discard, i)
		}
	}
	if len(d.end) == 0 {
		d.chooseContainers()
	}
	return d.plan
}

// decision is a plan in the making.
type decision struct {
	plan
	pod      *v1.Pod
	latest   map[string]instance
	backoffs backoffs
}

// findSandbox takes the latest sandbox if it runs or can still be started.
func (d *decision) findSandbox(have []instance) {
	last, ok := d.latest[sandboxName]
	if !ok {
		return
	}
	if last.Running() || last.Status == docker.StatusCreated && !ended(last) {
		d.sandbox = last
	} else {
		d.sandboxAttempt = last.attempt + 1
		d.sandboxLost = !last.StartedAt.IsZero()
	}
	for _, i := range have {
		// The latest one stays until its successor is there: it holds the attempt.
		if i.isSandbox() && i.ID != last.ID && !i.Running() {
			d.remove = append(d.remove, i)
		}
	}
}

// chooseContainers walks the init containers in order and, when all have done their
// part, takes all containers that shall run.
func (d *decision) chooseContainers() {
	initialized := d.initialized()
	for n := range d.pod.Spec.InitContainers {
		c := &d.pod.Spec.InitContainers[n]
		if initialized && !isSidecar(c) {
			continue
		}
		i, ok := d.current(c.Name)
		switch {
		case ok && i.Running():
			if !isSidecar(c) {
				return
			}
		case ok && ended(i) && i.ExitCode == 0 && !isSidecar(c):
			// its part is done
		default:
			d.consider(c)
			if !initialized {
				return
			}
		}
	}
	for n := range d.pod.Spec.Containers {
		c := &d.pod.Spec.Containers[n]
		i, ok := d.current(c.Name)
		if ok && i.Running() || !d.shallRun(c) {
			continue
		}
		d.consider(c)
	}
}

// initialized: a container of this sandbox exists, so the init containers did their
// part, whatever is left of them.
func (d *decision) initialized() bool {
	for _, c := range d.pod.Spec.Containers {
		if _, ok := d.current(c.Name); ok {
			return true
		}
	}
	return false
}

// current returns the container's latest instance if it belongs to the sandbox in use.
func (d *decision) current(name string) (instance, bool) {
	i, ok := d.latest[name]
	return i, ok && d.sandbox.ID != "" && i.sandboxID == d.sandbox.ID
}

// consider starts a container, or has it wait.
func (d *decision) consider(c *v1.Container) {
	i, ok := d.latest[c.Name]
	if !ok {
		d.start = append(d.start, starting{container: c, attempt: firstAttempt(d.pod, c.Name)})
		return
	}
	if !ended(i) && i.sandboxID == d.sandbox.ID && d.sandbox.ID != "" {
		d.start = append(d.start, starting{container: c, attempt: i.attempt, createdID: i.ID})
		return
	}
	if !ended(i) { // it never ran, so this is the same attempt
		d.start = append(d.start, starting{container: c, attempt: i.attempt})
		return
	}
	if !d.changed(i) {
		delay, until, wait := d.backoffs.waits(backoffKey(d.pod, c.Name), finishedAt(i))
		if wait {
			d.backoff = append(d.backoff, backoff{c.Name, delay, until})
			return
		}
	}
	d.start = append(d.start, starting{container: c, attempt: i.attempt + 1})
}

// shallRun tells whether a container that does not run shall.
func (d *decision) shallRun(c *v1.Container) bool {
	i, ok := d.latest[c.Name]
	if !ok {
		return !vanished(d.pod, c.Name) || d.pod.Spec.RestartPolicy != v1.RestartPolicyNever
	}
	return !ended(i) || d.changed(i) || restarts(d.pod, i.ExitCode)
}

// changed tells that the container is not what is declared any more.
func (d *decision) changed(i instance) bool {
	c := findContainer(d.pod, i.container)
	return c != nil && i.hash != containerHash(c)
}

// podFinished tells that nothing of the Pod will run again.
func podFinished(pod *v1.Pod, latest map[string]instance) bool {
	if isFinal(pod.Status.Phase) {
		return true
	}
	for n := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[n]
		i, ok := latest[c.Name]
		if ok && ended(i) && i.ExitCode != 0 && !isSidecar(c) && pod.Spec.RestartPolicy == v1.RestartPolicyNever {
			return true
		}
	}
	for _, c := range pod.Spec.Containers {
		i, ok := latest[c.Name]
		switch {
		case !ok && vanished(pod, c.Name) && pod.Spec.RestartPolicy == v1.RestartPolicyNever:
		case !ok || !ended(i) || restarts(pod, i.ExitCode):
			return false
		}
	}
	return true
}

// restarts applies the Pod's restart policy to an exit code.
func restarts(pod *v1.Pod, exitCode int) bool {
	switch pod.Spec.RestartPolicy {
	case v1.RestartPolicyNever:
		return false
	case v1.RestartPolicyOnFailure:
		return exitCode != 0
	}
	return true
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

// running are those that run.
func running(have []instance) (out []instance) {
	for _, i := range have {
		if i.Running() {
			out = append(out, i)
		}
	}
	return out
}

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

// vanished tells, of a container that Docker does not have, that it did run.
func vanished(pod *v1.Pod, name string) bool {
	s := statusOf(pod, name)
	return s != nil && (s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil)
}

// firstAttempt is 0, or one more than the count of a container that vanished.
func firstAttempt(pod *v1.Pod, name string) int {
	s := statusOf(pod, name)
	switch {
	case s == nil:
		return 0
	case vanished(pod, name):
		return int(s.RestartCount) + 1
	}
	return int(s.RestartCount)
}

// statusOf finds a container's status in the Pod as the API has it.
func statusOf(pod *v1.Pod, name string) *v1.ContainerStatus {
	for _, list := range [][]v1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for n := range list {
			if list[n].Name == name {
				return &list[n]
			}
		}
	}
	return nil
}

// findContainer finds a container's declaration.
func findContainer(pod *v1.Pod, name string) *v1.Container {
	for _, list := range [][]v1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for n := range list {
			if list[n].Name == name {
				return &list[n]
			}
		}
	}
	return nil
}

// isSidecar: an init container that runs beside the others.
// https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
func isSidecar(c *v1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways
}

// containerHash covers what can change in a Pod without a new Pod: the image.
func containerHash(c *v1.Container) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s\x00%s", c.Name, c.Image)
	return strconv.FormatUint(uint64(h.Sum32()), 16)
}

func backoffKey(pod *v1.Pod, container string) string { return string(pod.UID) + "/" + container }
