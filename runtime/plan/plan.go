package plan

import (
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// Plan is what is missing between a Pod as declared and its containers as Docker has
// them. It is computed from nothing else but the Pod, the containers and the clock.
type Plan struct {
	// Finished: no container will run again; the Pod's phase is Succeeded or Failed.
	Finished bool
	// Sandbox is the one to use; its zero value asks for a new one.
	Sandbox        pods.Instance
	SandboxAttempt int
	// RestartGeneration is that of what is started: see restartGenerationOf.
	RestartGeneration int
	// SandboxLost: there was a sandbox, and it died.
	SandboxLost bool
	// End are containers that run and must not. While there are any nothing is started.
	End []End
	// Start are containers to create, unless they are, and to start.
	Start []Start
	// PreCreate are containers to create while those of start run, because they come next.
	PreCreate []Start
	// Discard are containers that were created for a sandbox which is gone and never ran.
	// They are removed before anything is started: their names are used again.
	Discard []pods.Instance
	// Remove are dead containers that nobody needs.
	Remove []pods.Instance
	// Backoff are containers that have to wait before they are started again.
	Backoff []Backoff
}

// Starts tells whether there is anything to start, be it the sandbox.
func (p Plan) Starts() bool {
	return p.Sandbox.ID == "" || len(p.Start) > 0 || !p.Sandbox.Running()
}

// StartsAgain tells whether something that ran before is to run again.
func (p Plan) StartsAgain() bool {
	again := p.Sandbox.ID == "" && p.SandboxAttempt > 0
	for _, s := range p.Start {
		again = again || s.Attempt > 0
	}
	return again
}

// Start is one container to start.
type Start struct {
	Container *v1.Container
	Attempt   int
	CreatedID string // it was created already, and not started
	TargetID  string // the container whose processes it shall see; empty: none
}

// End is one running container that must not run.
type End struct {
	pods.Instance
	// Why is what the event says; empty: that it is stopped.
	Why string
	// Grace is the probe's that failed, in seconds; nil: the Pod's.
	Grace *int64
	// Renew has it started again, whatever it ends with.
	Renew bool
}

// Ends are running containers that end for no reason of their own.
func Ends(list []pods.Instance) (out []End) {
	for _, i := range list {
		out = append(out, End{Instance: i})
	}
	return out
}

// Backoff is one container that keeps failing.
type Backoff struct {
	Container string
	Delay     time.Duration
	Until     time.Time
}

// Backoffs tells how long a container that ended has to wait; *crashes in the agent.
type Backoffs interface {
	// waits returns the current delay and the time until which a container that ended
	// at finished must not start; ok is false when it may start now.
	Waits(key string, finished time.Time) (delay time.Duration, until time.Time, ok bool)
}

// View is what a plan is computed from beside the Pod and its containers.
type View struct {
	Backoffs
	Waiting map[string]pods.Waiting
	// Health is that of a running container.
	Health func(*v1.Container, pods.Instance) pods.Health
	// Renewed are the containers, by ID, that were ended to be started anew.
	Renewed map[string]bool
}
