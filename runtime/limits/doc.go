// Package limits decides who may use how much of the node, and translates what Pods declare of resources into the bounds
// that Docker and the kernel enforce.
//
// Allocations admit a Pod or say what it lacks, keep what it was granted in a file beside its volumes, and decide about
// its resize; ResizeProgress has the conditions that tell of it, and Rejections say how fast the Pods of one controller
// may be rejected. Evictions measure the disk space of Pods that limit theirs.
//
//	reason := allocations.Admit(pod, node, allocatable)  // nil: the Pod was granted what it declares
//	resize, admitted := allocations.Resize(pod)          // from then on: resize.Pod has what it was granted
//	message, due := evictions.Take(pod.UID)              // it took more than it may
//
// A container's requests and limits become Docker's CPU shares, quota and memory limit (OfContainer), and what Docker has
// in force is shown in a status again (Reported). A Pod that declares resources of its own gets a control group around
// those of its containers (PodPath, FindGroup, Group). Docker knows no bound for huge pages, and does not end a container
// as a whole when its memory runs out: both are written to the container's control group (LimitHugePages, KillTogether).
// OOMScores says whom the kernel ends first when the machine's memory runs out.
//
//	spec.Resources = limits.OfContainer(pod, c)
//	group, err := limits.FindGroup(cgroups, sandbox)   // when the sandbox runs
//	written, err := group.Apply(pod, false, hugePages)
//	err = limits.RemoveGroups(cgroups, limits.PodPath(instance, pod.UID)) // when its containers are gone
//
// Control groups of version 1 and 2 are handled alike; what the kernel lacks is left out. The package knows Pods and their
// instances, but neither workers nor the API: it says what is decided, and changing and telling is for others. Package
// usage reads the same control groups, for figures.
package limits
