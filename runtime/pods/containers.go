package pods

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
)

// ContainerStatus finds what the Pod's status says of a container of any kind; nil: nothing.
func ContainerStatus(pod *v1.Pod, name string) *v1.ContainerStatus {
	for _, list := range [][]v1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for n := range list {
			if list[n].Name == name {
				return &list[n]
			}
		}
	}
	return nil
}

// Container finds the declaration of a container of any kind; nil: there is none.
func Container(pod *v1.Pod, name string) *v1.Container {
	for _, list := range [][]v1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for n := range list {
			if list[n].Name == name {
				return &list[n]
			}
		}
	}
	if e := Ephemeral(pod, name); e != nil {
		return AsContainer(e)
	}
	return nil
}

// IsSidecar tells of an init container that runs beside the others.
// https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
func IsSidecar(c *v1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways
}

// SpecHash is a hash of what can change in a Pod without a new Pod, and not in a container
// without a restart: the image, and resources if their resize policy says so. The Pod's
// limit counts where the container has none.
func SpecHash(pod *v1.Pod, c *v1.Container) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s\x00%s", c.Name, c.Image)
	for _, p := range c.ResizePolicy {
		if p.RestartPolicy == v1.RestartContainer {
			request, limit := c.Resources.Requests[p.ResourceName], Limit(pod, c, p.ResourceName)
			fmt.Fprintf(h, "\x00%s\x00%d\x00%d", p.ResourceName, request.MilliValue(), limit.MilliValue())
		}
	}
	return strconv.FormatUint(uint64(h.Sum32()), 16)
}

// BackoffKey is under what the back-off of a container is kept.
func BackoffKey(pod *v1.Pod, container string) string { return string(pod.UID) + "/" + container }

// GracePeriod is how long the Pod's containers may take to end: what the deletion says, or else the Pod.
func GracePeriod(pod *v1.Pod) time.Duration {
	switch {
	case pod.DeletionGracePeriodSeconds != nil:
		return time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
	case pod.Spec.TerminationGracePeriodSeconds != nil:
		return time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
	}
	return v1.DefaultTerminationGracePeriodSeconds * time.Second
}

// AsContainer is an ephemeral container as the ordinary one that it nearly is: it has no
// ports, probes, hooks or resources of its own, and is never restarted.
// https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/
func AsContainer(e *v1.EphemeralContainer) *v1.Container {
	return (*v1.Container)(&e.EphemeralContainerCommon)
}

// Ephemerals are a Pod's ephemeral containers as ordinary ones.
func Ephemerals(pod *v1.Pod) (out []v1.Container) {
	for n := range pod.Spec.EphemeralContainers {
		out = append(out, *AsContainer(&pod.Spec.EphemeralContainers[n]))
	}
	return out
}

// Ephemeral finds the declaration of an ephemeral container; nil: there is none.
func Ephemeral(pod *v1.Pod, name string) *v1.EphemeralContainer {
	for n := range pod.Spec.EphemeralContainers {
		if e := &pod.Spec.EphemeralContainers[n]; e.Name == name {
			return e
		}
	}
	return nil
}

// IsFinal tells of a phase that never changes again.
func IsFinal(p v1.PodPhase) bool { return p == v1.PodSucceeded || p == v1.PodFailed }

// AllContainers are all that a Pod declares, of every kind.
func AllContainers(pod *v1.Pod) []v1.Container {
	return slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers, Ephemerals(pod))
}

// EnvMap are variables NAME=value by name.
func EnvMap(env []string) map[string]string {
	out := make(map[string]string, len(env))
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		out[name] = value
	}
	return out
}
