package runtime

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The labels of our containers: dockershim's own, so that tools which know them
// find their way, and ours where it had none.
const (
	labelPodName      = "io.kubernetes.pod.name"
	labelPodNamespace = "io.kubernetes.pod.namespace"
	labelPodUID       = "io.kubernetes.pod.uid"
	labelContainer    = "io.kubernetes.container.name"
	labelRestartCount = "io.kubernetes.container.restartCount"
	labelSpecHash     = "io.kubernetes.container.hash"
	labelType         = "io.kubernetes.docker.type"
	labelSandboxID    = "io.kubernetes.sandbox.id"
	labelRound        = "io.kube-lite.round"   // see roundOf
	labelAddress      = "io.kube-lite.address" // of a sandbox in the Pods' network
)

// The values of labelType.
const (
	typeSandbox   = "podsandbox"
	typeContainer = "container"
)

// sandboxName is the container name that stands for the sandbox.
const sandboxName = "POD"

// podRef names one Pod for good: a Pod that is deleted and made again under the same
// name has another UID.
type podRef struct {
	namespace, name string
	uid             types.UID
}

func (r podRef) String() string { return r.namespace + "/" + r.name }

// containerName is dockershim's: k8s_<container>_<pod>_<namespace>_<uid>_<attempt>.
func containerName(ref podRef, container string, attempt int) string {
	return strings.Join([]string{"k8s", container, ref.name, ref.namespace, string(ref.uid), strconv.Itoa(attempt)}, "_")
}

// instance is one container as Docker has it, with what its labels say.
type instance struct {
	docker.Container
	ref       podRef
	container string // the container's name in the Pod, or sandboxName
	attempt   int    // restart count
	round     int    // see roundOf
	hash      string
	sandboxID string            // of the sandbox whose network it shares; empty for a sandbox
	address   netip.Addr        // of a sandbox in the Pods' network; else the zero Addr
	user      *v1.ContainerUser // nil: unknown
}

// startErrorCode is the exit code of what could not be started, as other engines have it;
// Docker has 126, 127 or 128.
const startErrorCode = 128

// fromLabels reads the labels back; ok is false for a container that is not a Pod's.
func fromLabels(c docker.Container) (i instance, ok bool) {
	uid := c.Labels[labelPodUID]
	if uid == "" || c.Labels[labelContainer] == "" {
		return instance{}, false
	}
	attempt, _ := strconv.Atoi(c.Labels[labelRestartCount])
	round, _ := strconv.Atoi(c.Labels[labelRound]) // none: 0
	address, _ := netip.ParseAddr(c.Labels[labelAddress])
	if c.Status == docker.StatusCreated && c.Error != "" {
		c.ExitCode = startErrorCode
	}
	i = instance{
		Container: c,
		ref:       podRef{c.Labels[labelPodNamespace], c.Labels[labelPodName], types.UID(uid)},
		container: c.Labels[labelContainer],
		attempt:   attempt,
		round:     round,
		hash:      c.Labels[labelSpecHash],
		sandboxID: c.Labels[labelSandboxID],
		address:   address,
	}
	i.Labels = nil // the fields say it all, and there are many instances
	return i, true
}

func (i instance) isSandbox() bool { return i.container == sandboxName }
