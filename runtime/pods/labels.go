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

// Labels are those of one container of the Pod.
func Labels(instanceName string, pod *v1.Pod, container string, attempt int) map[string]string {
	return map[string]string{
		docker.LabelInstance: instanceName,
		LabelPodName:         pod.Name,
		LabelPodNamespace:    pod.Namespace,
		LabelPodUID:          string(pod.UID),
		LabelContainer:       container,
		LabelRestartCount:    strconv.Itoa(attempt),
	}
}
