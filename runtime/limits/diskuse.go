package limits

import (
	"fmt"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/apis/scheduling"
)

// limitsDisk tells whether anything of the Pod has a limit of disk space.
func limitsDisk(pod *v1.Pod) bool {
	if limit := pods.Limits(pod)[v1.ResourceEphemeralStorage]; !limit.IsZero() {
		return true
	}
	for _, v := range pod.Spec.Volumes {
		if limitedDir(v) {
			return true
		}
	}
	return false
}

// limitedDir tells of a directory on disk with a limit; in memory its own size is one.
func limitedDir(v v1.Volume) bool {
	return pods.OnDisk(v) && v.EmptyDir.SizeLimit != nil && v.EmptyDir.SizeLimit.Sign() > 0
}

// isCritical tells of Pods that are never evicted.
func isCritical(pod *v1.Pod) bool {
	return pod.Spec.Priority != nil && *pod.Spec.Priority >= scheduling.SystemCriticalPriority
}

// diskUse is the disk space of a Pod's parts, in bytes, by name.
type diskUse struct {
	volumes    map[string]int64 // emptyDir and configMap
	containers map[string]int64 // what they wrote over their images, and logs
	files      int64            // /etc/hosts and termination messages
}

// exceeds says which limit is exceeded, in a kubelet's words and order; empty: none.
func (u diskUse) exceeds(pod *v1.Pod) string {
	for _, v := range pod.Spec.Volumes {
		if limitedDir(v) && u.volumes[v.Name] > v.EmptyDir.SizeLimit.Value() {
			return fmt.Sprintf("Usage of EmptyDir volume %q exceeds the limit %q. ", v.Name, v.EmptyDir.SizeLimit.String())
		}
	}
	if limit, ok := pods.Limits(pod)[v1.ResourceEphemeralStorage]; ok && u.total() > limit.Value() {
		return fmt.Sprintf("Pod ephemeral local storage usage exceeds the total limit of containers %s. ", limit.String())
	}
	for _, c := range pod.Spec.Containers {
		limit := c.Resources.Limits[v1.ResourceEphemeralStorage]
		if !limit.IsZero() && u.containers[c.Name] > limit.Value() {
			return fmt.Sprintf("Container %s exceeded its local ephemeral storage limit %q. ", c.Name, limit.String())
		}
	}
	return ""
}

func (u diskUse) total() (sum int64) {
	for _, part := range []map[string]int64{u.volumes, u.containers} {
		for _, bytes := range part {
			sum += bytes
		}
	}
	return sum + u.files
}
