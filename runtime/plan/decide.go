package plan

import (
	"fmt"
	"slices"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// Decide computes the plan.
func Decide(pod *v1.Pod, have []pods.Instance, v View) Plan {
	d := &decision{pod: pod, have: have, latest: map[string]pods.Instance{}, View: v}
	for _, i := range have {
		if !pods.Superseded(pod, i) {
			d.latest[i.ContainerName] = i // oldest first, so the latest stays
		}
	}
	d.RestartGeneration = restartGenerationOf(pod, have)
	d.Remove = pods.Surplus(have)
	if d.Finished = d.podFinished(); d.Finished {
		d.Remove = append(d.Remove, pods.Unstarted(have)...)
		return d.Plan
	}
	d.findSandbox(have)
	for _, i := range have {
		stale := !i.IsSandbox() && (i.SandboxID != d.Sandbox.ID || d.Sandbox.ID == "")
		switch {
		case !i.Running():
		case i.IsSandbox() && i.ID != d.Sandbox.ID, stale,
			i.ID != d.latest[i.ContainerName].ID: // somebody started it again after its successor was made
			d.End = append(d.End, End{Instance: i})
		case !i.IsSandbox():
			d.checkRunning(i)
		}
		if stale && i.Status == docker.StatusCreated && !i.Ended() {
			d.Discard = append(d.Discard, i)
		}
	}
	if len(d.End) == 0 {
		d.chooseEphemeral()
		d.chooseContainers()
	}
	return d.Plan
}

// decision is a plan in the making.
type decision struct {
	Plan
	View
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
	v := d.Health(c, i)
	switch {
	case i.RestartGeneration < d.RestartGeneration && pods.Ephemeral(d.pod, c.Name) == nil:
		d.End = append(d.End, endForRestart(i))
	case d.changed(i):
		why := fmt.Sprintf("Container %s definition changed, will be restarted", c.Name)
		if i.Image == c.Image {
			why = fmt.Sprintf("Container %s resize requires restart", c.Name)
		}
		d.End = append(d.End, End{Instance: i, Why: why, Renew: true})
	case v.Hook == pods.HookFailed:
		d.End = append(d.End, End{Instance: i, Why: "FailedPostStartHook"})
	case v.Failed != "":
		probe := c.LivenessProbe
		if v.Failed == "startup" {
			probe = c.StartupProbe
		}
		e := End{
			Instance: i, Grace: probe.TerminationGracePeriodSeconds, Renew: pods.RestartsUnhealthy(d.pod, c),
			Why: fmt.Sprintf("Container %s failed %s probe", c.Name, v.Failed),
		}
		if e.Renew {
			e.Why += ", will be restarted"
		}
		d.End = append(d.End, e)
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
		d.Sandbox = last
	} else {
		d.SandboxAttempt = last.Attempt + 1
		d.SandboxLost = !last.StartedAt.IsZero()
	}
	for _, i := range have {
		// The latest one stays until its successor is there: it holds the attempt.
		if i.IsSandbox() && i.ID != last.ID && !i.Running() {
			d.Remove = append(d.Remove, i)
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
			if v := d.Health(c, i); !pods.IsSidecar(c) || n >= reached && (!v.Started || v.Hook != pods.HookDone) {
				return
			}
		case !pods.IsSidecar(c) && (ok && i.Ended() && i.ExitCode == 0 || d.completed(c)):
			// its part is done
		default:
			d.consider(c)
			if n >= reached {
				if len(d.Start) > 0 {
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
		return d.Health(c, i).Hook != pods.HookDone
	}
	starts := slices.ContainsFunc(d.Start, func(s Start) bool { return s.Container == c })
	return starts && slices.Contains([]string{"", "ContainerCreating"}, d.Waiting[c.Name].Reason)
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
	if _, made := d.latest[name]; made || !pods.WasRemoved(d.pod, name) || d.RestartGeneration > 0 || d.Sandbox.StartedAt.IsZero() {
		return false
	}
	return !pods.LastTermination(*pods.ContainerStatus(d.pod, name)).StartedAt.Time.Before(pods.WholeSeconds(d.Sandbox.StartedAt).Time)
}

// current returns the container's latest instance if it belongs to the sandbox in use, and to
// the restart generation.
func (d *decision) current(name string) (pods.Instance, bool) {
	i, ok := d.latest[name]
	return i, ok && d.Sandbox.ID != "" && i.SandboxID == d.Sandbox.ID && i.RestartGeneration == d.RestartGeneration
}

// consider starts a container, or has it wait.
func (d *decision) consider(c *v1.Container) {
	i, ok := d.latest[c.Name]
	if !ok {
		d.Start = append(d.Start, Start{Container: c, Attempt: pods.FirstAttempt(d.pod, c.Name)})
		return
	}
	if !i.Ended() && i.SandboxID == d.Sandbox.ID && d.Sandbox.ID != "" {
		d.Start = append(d.Start, Start{Container: c, Attempt: i.Attempt, CreatedID: i.ID})
		return
	}
	if !i.Ended() { // it never ran, so this is the same attempt
		d.Start = append(d.Start, Start{Container: c, Attempt: i.Attempt})
		return
	}
	if !d.changed(i) && i.RestartGeneration == d.RestartGeneration {
		delay, until, wait := d.Waits(pods.BackoffKey(d.pod, c.Name), i.EndedAt())
		if wait {
			d.Backoff = append(d.Backoff, Backoff{c.Name, delay, until})
			return
		}
	}
	d.Start = append(d.Start, Start{Container: c, Attempt: i.Attempt + 1})
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
	return !i.Ended() || i.RestartGeneration < d.RestartGeneration || d.Renewed[i.ID]
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
