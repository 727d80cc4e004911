package stats

import (
	"context"
	"slices"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	"github.com/prometheus/client_golang/prometheus"
	v1 "k8s.io/api/core/v1"
	statsv1alpha1 "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// claims is the summary with the figures of volumes behind claims, and of no others: whoever
// asks for the agent's own metrics does not have all disks measured.
func (s *Stats) claims(ctx context.Context) (*statsv1alpha1.Summary, error) {
	base, err := s.summary(ctx)
	if err != nil {
		return nil, err
	}
	f, parts := s.filler(), map[string]measure{}
	for _, p := range base.Pods {
		f.eachClaim(p, func(_ *v1.Pod, _ v1.Volume, path string) { parts[path] = treeAt(path) })
	}
	f.taken = s.disks.take(ctx, parts)
	out := *base
	out.Pods = slices.Clone(base.Pods)
	for i := range out.Pods {
		f.eachClaim(out.Pods[i], func(pod *v1.Pod, v v1.Volume, path string) {
			if disk, ok := f.taken[path]; ok {
				out.Pods[i].VolumeStats = append(out.Pods[i].VolumeStats, f.volume(pod, v, path, disk))
			}
		})
	}
	return &out, nil
}

// eachClaim goes through the volumes behind a Pod's claims, with the paths where they lie.
func (f *filler) eachClaim(p statsv1alpha1.PodStats, do func(pod *v1.Pod, v v1.Volume, path string)) {
	pod := f.pods[p.PodRef.UID]
	if pod == nil {
		return
	}
	for _, v := range pod.Spec.Volumes {
		if path := f.measuredPath(pod, v); pods.IsClaim(v) && path != "" {
			do(pod, v, path)
		}
	}
}

// measuredPath is where a volume lies that there are figures of: those that isMeasured, and those
// behind claims that a container mounts. Empty: there are none.
func (f *filler) measuredPath(pod *v1.Pod, v v1.Volume) string {
	if !pods.IsClaim(v) {
		if isMeasured(v) {
			return f.config.Dirs.Volume(pod.UID, v)
		}
		return ""
	}
	if mounted, _ := pods.VolumeUses(pod, v.Name); !mounted {
		return ""
	}
	return f.config.ClaimPath(pod, v)
}

// claimRef names the claim behind a volume; nil if there is none.
func claimRef(pod *v1.Pod, v v1.Volume) *statsv1alpha1.PVCReference {
	if !pods.IsClaim(v) {
		return nil
	}
	return &statsv1alpha1.PVCReference{Namespace: pod.Namespace, Name: pods.ClaimName(pod, v)}
}

// volume are the figures of one volume.
func (f *filler) volume(pod *v1.Pod, v v1.Volume, path string, disk usage.Disk) statsv1alpha1.VolumeStats {
	return statsv1alpha1.VolumeStats{Name: v.Name, PVCRef: claimRef(pod, v), FsStats: *f.used(f.filesystem(path), disk)}
}

// emitClaims tells of the volumes behind claims, each once however many Pods mount it.
func emitClaims(s *statsv1alpha1.Summary, emit func(prometheus.Metric)) {
	labels, told := []string{"namespace", "persistentvolumeclaim"}, map[statsv1alpha1.PVCReference]bool{}
	for _, p := range s.Pods {
		for _, v := range p.VolumeStats {
			if v.PVCRef == nil || told[*v.PVCRef] {
				continue
			}
			told[*v.PVCRef] = true
			for _, figure := range []struct {
				name, help string
				value      *uint64
			}{
				{"capacity_bytes", "Capacity in bytes of the volume", v.CapacityBytes},
				{"available_bytes", "Number of available bytes in the volume", v.AvailableBytes},
				{"used_bytes", "Number of used bytes in the volume", v.UsedBytes},
				{"inodes", "Maximum number of inodes in the volume", v.Inodes},
				{"inodes_free", "Number of free inodes in the volume", v.InodesFree},
				{"inodes_used", "Number of used inodes in the volume", v.InodesUsed},
			} {
				emit(gauge("kubelet_volume_stats_"+figure.name, figure.help, labels, number(figure.value), v.PVCRef.Namespace, v.PVCRef.Name))
			}
		}
	}
}
