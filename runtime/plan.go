package runtime

import (
	"fmt"
	"slices"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// plan is what is missing between a Pod as declared and its containers as Docker has
// them. It is computed from nothing else but the Pod, the containers and the clock.
type plan struct {
	// finished: no container will run again; the Pod's phase is Succeeded or Failed.
	finished bool
	// sandbox is the one to use; its zero value asks for a new one.
	sandbox        pods.Instance
	sandboxAttempt int
	// restartGeneration is that of what is started: see restartGenerationOf.
	restartGeneration int
	// sandboxLost: there was a sandbox, and it died.
	sandboxLost bool
	// end are containers that run and must not. While there are any nothing is started.
	end []ending
	// start are containers to create, unless they are, and to start.
	start []starting
	// preCreate are containers to create while those of start run, because they come next.
	preCreate []starting
	// discard are containers that were created for a sandbox which is gone and never ran.
	// They are removed before anything is started: their names are used again.
	discard []pods.Instance
	// remove are dead containers that nobody needs.
	remove []pods.Instance
	// backoff are containers that have to wait before they are started again.
	backoff []backoff
}

// starts tells whether there is anything to start, be it the sandbox.
func (p plan) starts() bool {
	return p.sandbox.ID == "" || len(p.start) > 0 || !p.sandbox.Running()
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
	createdID string // it was created already, and not started: see obtain
	targetID  string // the container whose processes it shall see; empty: none
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

// view is what a plan is computed from beside the Pod and its containers.
type view struct {
	backoffs
	waiting map[string]pods.Waiting
	// health is that of a running container.
	health func(*v1.Container, pods.Instance) pods.Health
	// renewed are the containers, by ID, that were ended to be started anew.
	renewed map[string]bool
}

// decide computes the plan.
func decide(pod *v1.Pod, have []pods.Instance, v view) plan {
	d := &decision{pod: pod, have: have, latest: map[string]pods.Instance{}, view: v}
	for _, i := range have {
		if !pods.Superseded(pod, i) {
			d.latest[i.ContainerName] = i // oldest first, so the latest stays
		}
	}
	d.restartGeneration = restartGenerationOf(pod, have)
	d.remove = pods.Surplus(have)
	if d.finished = d.podFinished(); d.finished {
		d.remove = append(d.remove, pods.Unstarted(have)...)
		return d.plan
	}
	d.findSandbox(have)
	for _, i := range have {
		stale := !i.IsSandbox() && (i.SandboxID != d.sandbox.ID || d.sandbox.ID == "")
		switch {
		case !i.Running():
		case i.IsSandbox() && i.ID != d.sandbox.ID, stale,
			i.ID != d.latest[i.ContainerName].ID: // somebody started it again after its successor was made
			d.end = append(d.end, ending{Instance: i})
		case !i.IsSandbox():
			d.checkRunning(i)
		}
		if stale && i.Status == docker.StatusCreated && !i.Ended() {
			d.discard = append(d.discard, i)
		}
	}
	if len(d.end) == 0 {
		d.chooseEphemeral()
		d.chooseContainers()
	}
	return d.plan
}

// decision is a plan in the making.
type decision struct {
	plan
	view
	pod    *v1.Pod
	have   []pods.Instance
	latest map[string]pods.Instance
}

// checkRunning ends a running container that is not what is declared any more, or not
// well.
func (d *decision) checkRunning(i pods.Instance) {
	c := pods.Container(d.pod, i.ContainerName)
	if c == nil {
		return
	}
	v := d.health(c, i)
	switch {
	case i.RestartGeneration < d.restartGeneration && pods.Ephemeral(d.pod, c.Name) == nil:
		d.end = append(d.end, endForRestart(i))
	case d.changed(i):
		why := fmt.Sprintf("Container %s definition changed, will be restarted", c.Name)
		if i.Image == c.Image {
			why = fmt.Sprintf("Container %s resize requires restart", c.Name)
		}
		d.end = append(d.end, ending{Instance: i, why: why, renew: true})
	case v.Hook == pods.HookFailed:
		d.end = append(d.end, ending{Instance: i, why: "FailedPostStartHook"})
	case v.Failed != "":
		probe := c.LivenessProbe
		if v.Failed == "startup" {
			probe = c.StartupProbe
		}
		e := ending{
			Instance: i, grace: probe.TerminationGracePeriodSeconds, renew: pods.RestartsUnhealthy(d.pod, c),
			why: fmt.Sprintf("Container %s failed %s probe", c.Name, v.Failed),
		}
		if e.renew {
			e.why += ", will be restarted"
		}
		d.end = append(d.end, e)
	}
}

// findSandbox takes the latest sandbox if it runs or can still be started. One that ended and
// runs again, which is not our doing, has other namespaces than those that its containers share.
func (d *decision) findSandbox(have []pods.Instance) {
	last, ok := d.latest[pods.SandboxName]
	if !ok {
		return
	}
	if last.Running() && last.FinishedAt.IsZero() || last.Status == docker.StatusCreated && !last.Ended() {
		d.sandbox = last
	} else {
		d.sandboxAttempt = last.Attempt + 1
		d.sandboxLost = !last.StartedAt.IsZero()
	}
	for _, i := range have {
		// The latest one stays until its successor is there: it holds the attempt.
		if i.IsSandbox() && i.ID != last.ID && !i.Running() {
			d.remove = append(d.remove, i)
		}
	}
}

// chooseContainers walks the init containers in order and, when all have done their
// part, takes all containers that shall run.
func (d *decision) chooseContainers() {
	reached := d.reached()
	for n := range d.pod.Spec.InitContainers {
		c := &d.pod.Spec.InitContainers[n]
		if n < reached && !pods.IsSidecar(c) {
			continue
		}
		i, ok := d.current(c.Name)
		switch {
		case ok && i.Running():
			if v := d.health(c, i); !pods.IsSidecar(c) || n >= reached && (!v.Started || v.Hook != pods.HookDone) {
				return
			}
		case !pods.IsSidecar(c) && (ok && i.Ended() && i.ExitCode == 0 || d.completed(c)):
			// its part is done
		default:
			d.consider(c)
			if n >= reached {
				if len(d.start) > 0 {
					d.choosePreCreated()
				}
				return
			}
		}
	}
	for n := range d.pod.Spec.Containers {
		c := &d.pod.Spec.Containers[n]
		i, ok := d.current(c.Name)
		if !(ok && i.Running()) && d.shallRun(c) {
			d.consider(c)
		}
		if d.holdsOthers(c) {
			return
		}
	}
}

// holdsOthers: a kubelet starts containers one by one, and runs the postStart hook of
// each before the next; people count on that order. A container that cannot start does
// not hold the others up.
func (d *decision) holdsOthers(c *v1.Container) bool {
	if c.Lifecycle == nil || c.Lifecycle.PostStart == nil {
		return false
	}
	if i, ok := d.current(c.Name); ok && i.Running() {
		return d.health(c, i).Hook != pods.HookDone
	}
	starts := slices.ContainsFunc(d.start, func(s starting) bool { return s.container == c })
	return starts && slices.Contains([]string{"", "ContainerCreating"}, d.waiting[c.Name].Reason)
}

// reached is the index of the last init container that was begun in the sandbox in use, or their number if other
// containers were. Those before it did their part, whatever is left of them.
func (d *decision) reached() int {
	begun := func(c v1.Container) bool {
		i, ok := d.current(c.Name)
		return ok && i.WasStarted() || d.ranUnseen(c.Name)
	}
	if slices.ContainsFunc(d.pod.Spec.Containers, begun) {
		return len(d.pod.Spec.InitContainers)
	}
	for n := len(d.pod.Spec.InitContainers) - 1; n > 0; n-- {
		if begun(d.pod.Spec.InitContainers[n]) {
			return n
		}
	}
	return 0
}

// completed tells of a container that vanished that it had ended well.
func (d *decision) completed(c *v1.Container) bool {
	return d.ranUnseen(c.Name) && pods.LastTermination(*pods.ContainerStatus(d.pod, c.Name)).ExitCode == 0
}

// ranUnseen tells of a container that was removed that it ran in the sandbox in use; its status knows no restart generations.
func (d *decision) ranUnseen(name string) bool {
	if _, made := d.latest[name]; made || !pods.WasRemoved(d.pod, name) || d.restartGeneration > 0 || d.sandbox.StartedAt.IsZero() {
		return false
	}
	return !pods.LastTermination(*pods.ContainerStatus(d.pod, name)).StartedAt.Time.Before(pods.WholeSeconds(d.sandbox.StartedAt).Time)
}

// current returns the container's latest instance if it belongs to the sandbox in use, and to
// the restart generation.
func (d *decision) current(name string) (pods.Instance, bool) {
	i, ok := d.latest[name]
	return i, ok && d.sandbox.ID != "" && i.SandboxID == d.sandbox.ID && i.RestartGeneration == d.restartGeneration
}

// consider starts a container, or has it wait.
func (d *decision) consider(c *v1.Container) {
	i, ok := d.latest[c.Name]
	if !ok {
		d.start = append(d.start, starting{container: c, attempt: pods.FirstAttempt(d.pod, c.Name)})
		return
	}
	if !i.Ended() && i.SandboxID == d.sandbox.ID && d.sandbox.ID != "" {
		d.start = append(d.start, starting{container: c, attempt: i.Attempt, createdID: i.ID})
		return
	}
	if !i.Ended() { // it never ran, so this is the same attempt
		d.start = append(d.start, starting{container: c, attempt: i.Attempt})
		return
	}
	if !d.changed(i) && i.RestartGeneration == d.restartGeneration {
		delay, until, wait := d.waits(pods.BackoffKey(d.pod, c.Name), i.EndedAt())
		if wait {
			d.backoff = append(d.backoff, backoff{c.Name, delay, until})
			return
		}
	}
	d.start = append(d.start, starting{container: c, attempt: i.Attempt + 1})
}

// shallRun tells whether a container that does not run shall.
func (d *decision) shallRun(c *v1.Container) bool {
	i, ok := d.latest[c.Name]
	if !ok {
		return !pods.WasRemoved(d.pod, c.Name) || pods.RestartsRemoved(d.pod, c)
	}
	return d.startsAnew(i) || pods.Restarts(d.pod, c, i.ExitCode)
}

// startsAnew tells whether a container follows, whatever this one ends with.
func (d *decision) startsAnew(i pods.Instance) bool {
	return !i.Ended() || i.RestartGeneration < d.restartGeneration || d.renewed[i.ID]
}

// changed tells that the container is not what is declared any more.
func (d *decision) changed(i pods.Instance) bool {
	c := pods.Container(d.pod, i.ContainerName)
	return c != nil && i.SpecHash != pods.SpecHash(d.pod, c)
}

// podFinished tells that nothing of the Pod will run again.
func (d *decision) podFinished() bool {
	pod, latest := d.pod, d.latest
	if pods.IsFinal(pod.Status.Phase) {
		return true
	}
	for n := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[n]
		i, ok := latest[c.Name]
		if ok && !d.startsAnew(i) && i.ExitCode != 0 && !pods.IsSidecar(c) && !pods.Restarts(pod, c, i.ExitCode) {
			return true
		}
		if !ok && d.failedUnseen(c) {
			return true
		}
	}
	for n := range pod.Spec.Containers {
		c := &pod.Spec.Containers[n]
		i, ok := latest[c.Name]
		switch {
		case !ok && pods.WasRemoved(pod, c.Name) && !pods.RestartsRemoved(pod, c):
		case !ok || d.startsAnew(i) || pods.Restarts(pod, c, i.ExitCode):
			return false
		}
	}
	return true
}

// failedUnseen tells of an init container that vanished that it had failed, and does not run again.
func (d *decision) failedUnseen(c *v1.Container) bool {
	return pods.WasRemoved(d.pod, c.Name) && !pods.IsSidecar(c) && pods.LastTermination(*pods.ContainerStatus(d.pod, c.Name)).ExitCode != 0 &&
		!pods.RestartsRemoved(d.pod, c) && !pods.CompletedUnseen(d.pod, d.have, c)
}
