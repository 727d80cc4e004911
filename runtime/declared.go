package runtime

import (
	"fmt"
	"hash/fnv"
	"strconv"

	v1 "k8s.io/api/core/v1"
)

// What a Pod declares, and what its status says of it.

// statusOf finds a container's status in the Pod as the API has it.
func statusOf(pod *v1.Pod, name string) *v1.ContainerStatus {
	for _, list := range [][]v1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for n := range list {
			if list[n].Name == name {
				return &list[n]
			}
		}
	}
	return nil
}

// findContainer finds the declaration of a container of any kind.
func findContainer(pod *v1.Pod, name string) *v1.Container {
	for _, list := range [][]v1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for n := range list {
			if list[n].Name == name {
				return &list[n]
			}
		}
	}
	if e := ephemeral(pod, name); e != nil {
		return asContainer(e)
	}
	return nil
}

// isSidecar: an init container that runs beside the others.
// https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
func isSidecar(c *v1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways
}

// containerHash covers what can change in a Pod without a new Pod, and not in a container
// without a restart: the image, and resources if their resize policy says so. The Pod's
// limit counts where the container has none.
func containerHash(pod *v1.Pod, c *v1.Container) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s\x00%s", c.Name, c.Image)
	for _, p := range c.ResizePolicy {
		if p.RestartPolicy == v1.RestartContainer {
			request, limit := c.Resources.Requests[p.ResourceName], limitOf(pod, c, p.ResourceName)
			fmt.Fprintf(h, "\x00%s\x00%d\x00%d", p.ResourceName, request.MilliValue(), limit.MilliValue())
		}
	}
	return strconv.FormatUint(uint64(h.Sum32()), 16)
}

func backoffKey(pod *v1.Pod, container string) string { return string(pod.UID) + "/" + container }
