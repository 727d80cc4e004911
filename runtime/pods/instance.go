package pods

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// SandboxName is the container name that stands for the sandbox.
const SandboxName = "POD"

// Instance is one run of a declared container, or a sandbox, as Docker has it and its labels say.
type Instance struct {
	docker.Container
	Pod           Ref
	ContainerName string // in the Pod, or SandboxName; Name is Docker's
	Attempt       int    // how often the container was restarted before
	// RestartGeneration is how often all containers of the Pod were restarted before.
	RestartGeneration int
	SpecHash          string            // of what it was made of: see SpecHash
	SandboxID         string            // of the sandbox whose network it shares; empty for a sandbox
	Address           netip.Addr        // of a sandbox in the Pods' network; else the zero Addr
	User              *v1.ContainerUser // nil: unknown
}

// startErrorCode is the exit code of what could not be started, as other engines have it;
// Docker has 126, 127 or 128.
const startErrorCode = 128

// InstanceOf reads the labels back; ok is false for a container that is not a Pod's.
func InstanceOf(c docker.Container) (i Instance, ok bool) {
	uid := c.Labels[LabelPodUID]
	if uid == "" || c.Labels[LabelContainer] == "" {
		return Instance{}, false
	}
	attempt, _ := strconv.Atoi(c.Labels[LabelRestartCount])
	generation, _ := strconv.Atoi(c.Labels[LabelRestartGeneration]) // none: 0
	address, _ := netip.ParseAddr(c.Labels[LabelAddress])
	if c.Status == docker.StatusCreated && c.Error != "" {
		c.ExitCode = startErrorCode
	}
	i = Instance{
		Container:         c,
		Pod:               Ref{c.Labels[LabelPodNamespace], c.Labels[LabelPodName], types.UID(uid)},
		ContainerName:     c.Labels[LabelContainer],
		Attempt:           attempt,
		RestartGeneration: generation,
		SpecHash:          c.Labels[LabelSpecHash],
		SandboxID:         c.Labels[LabelSandboxID],
		Address:           address,
	}
	i.Labels = nil // the fields say it all, and there are many instances
	return i, true
}

// IsSandbox tells of the container that holds the Pod's namespaces.
func (i Instance) IsSandbox() bool { return i.ContainerName == SandboxName }

// WasStarted tells that the container runs or ended: it is not one that waits for its start.
func (i Instance) WasStarted() bool { return i.Running() || i.Ended() }

// Ended tells that the container ran and ended, or could not be started.
func (i Instance) Ended() bool {
	switch i.Status {
	case docker.StatusRunning, docker.StatusPaused:
		return false
	case docker.StatusCreated:
		return i.Error != ""
	}
	return true
}

// EndedAt is the time of the end; Docker has none for what never started.
func (i Instance) EndedAt() time.Time {
	if i.FinishedAt.IsZero() {
		return i.Created
	}
	return i.FinishedAt
}

// KilledExitCode is that of a container which SIGKILL ended.
const KilledExitCode = 128 + 9
