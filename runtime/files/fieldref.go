package files

import (
	"fmt"
	"maps"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/kubernetes/pkg/api/v1/resource"
	"k8s.io/kubernetes/pkg/fieldpath"
)

// Node are what a Pod may ask about its node.
type Node struct {
	Name        string
	HostIPs     pods.IPs
	Allocatable v1.ResourceList
}

// fieldRef reads a field of the Pod as the downward API defines it.
// https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
func fieldRef(pod *v1.Pod, node Node, ips pods.IPs, path string) (string, error) {
	switch path {
	case "spec.nodeName":
		return node.Name, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return node.HostIPs.First(), nil
	case "status.hostIPs":
		return node.HostIPs.String(), nil
	case "status.podIP":
		return ips.First(), nil
	case "status.podIPs":
		return ips.String(), nil
	}
	if !strings.HasPrefix(path, "metadata.") {
		return "", fmt.Errorf("unsupported fieldPath: %v", path)
	}
	return fieldpath.ExtractFieldPathAsString(pod, path)
}

// resourceFieldRef reads a request or limit; a limit that is not set is the Pod's, or else
// what the node has to give.
func resourceFieldRef(pod *v1.Pod, c *v1.Container, node Node, ref *v1.ResourceFieldSelector) (string, error) {
	name := ref.ContainerName
	if name == "" {
		name = c.Name
	}
	if pods.Container(pod, name) == nil {
		return "", fmt.Errorf("container %q not found", name)
	}
	most := maps.Clone(node.Allocatable)
	if pod.Spec.Resources != nil {
		for name, limit := range pod.Spec.Resources.Limits {
			if _, known := most[name]; known && !limit.IsZero() {
				most[name] = limit
			}
		}
	}
	return resourcehelper.ExtractResourceValueByContainerNameAndNodeAllocatable(ref, pod, name, most)
}
