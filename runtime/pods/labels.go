package pods

import (
	"strconv"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
)

// The labels of our containers: dockershim's own, so that tools which know them
// find their way, and ours where it had none.
const (
	LabelPodName           = "io.kubernetes.pod.name"
	LabelPodNamespace      = "io.kubernetes.pod.namespace"
	LabelPodUID            = "io.kubernetes.pod.uid"
	LabelContainer         = "io.kubernetes.container.name"
	LabelRestartCount      = "io.kubernetes.container.restartCount"
	LabelSpecHash          = "io.kubernetes.container.hash"
	LabelType              = "io.kubernetes.docker.type"
	LabelSandboxID         = "io.kubernetes.sandbox.id"
	LabelRestartGeneration = "io.kube-lite.round"   // see Instance
	LabelAddress           = "io.kube-lite.address" // of a sandbox in the Pods' network
)

// The values of LabelType.
const (
	TypeSandbox   = "podsandbox"
	TypeContainer = "container"
)

// DockerName is dockershim's: k8s_<container>_<pod>_<namespace>_<uid>_<attempt>.
func DockerName(ref Ref, container string, attempt int) string {
	return strings.Join([]string{"k8s", container, ref.Name, ref.Namespace, string(ref.UID), strconv.Itoa(attempt)}, "_")
}

// Owner is the node agent whose containers are meant, among all that an engine has.
type Owner struct {
	Instance string
	// Node is the Node's name; empty for the node that the instance began with.
	Node string
}

// Filter selects an owner's containers, and for the first node those of the others too: an engine finds no container by
// a label that it lacks. See Has.
func (o Owner) Filter() map[string]string {
	labels := docker.InstanceLabel(o.Instance)
	if o.Node != "" {
		labels[docker.LabelNode] = o.Node
	}
	return labels
}

// Has tells by its labels whether a container that Filter selected is the owner's.
func (o Owner) Has(labels map[string]string) bool { return labels[docker.LabelNode] == o.Node }

// Labels are those of one container of the Pod.
func (o Owner) Labels(pod *v1.Pod, container string, attempt int) map[string]string {
	labels := o.Filter()
	labels[LabelPodName] = pod.Name
	labels[LabelPodNamespace] = pod.Namespace
	labels[LabelPodUID] = string(pod.UID)
	labels[LabelContainer] = container
	labels[LabelRestartCount] = strconv.Itoa(attempt)
	return labels
}
