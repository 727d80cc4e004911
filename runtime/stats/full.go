package stats

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	"github.com/prometheus/procfs"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	statsv1alpha1 "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// full is what a kubelet serves as /stats/summary: the summary with networks, disks and
// processes. Disk space is as old as diskFresh, or older where measuring takes long.
// https://kubernetes.io/docs/reference/instrumentation/node-metrics/
func (s *Stats) full(ctx context.Context) (*statsv1alpha1.Summary, error) {
	base, err := s.summary(ctx)
	if err != nil {
		return nil, err
	}
	f := s.filler()
	f.nodeFs, f.imageFs = f.filesystem(s.config.Dirs.Root), f.filesystem(s.config.DockerRoot())
	f.taken = s.disks.take(ctx, f.parts(base))
	out := *base
	f.node(ctx, &out.Node)
	out.Pods = slices.Clone(base.Pods)
	for i := range out.Pods {
		if pod := f.pods[out.Pods[i].PodRef.UID]; pod != nil {
			f.pod(pod, &out.Pods[i])
		}
	}
	return &out, nil
}

// filler completes one summary.
type filler struct {
	*Stats
	at              metav1.Time
	nodeFs, imageFs statsv1alpha1.FsStats // without what is used by whom
	pods            map[string]*v1.Pod    // by UID
	taken           map[string]usage.Disk // by directory or container ID
}

func (s *Stats) filler() *filler {
	f := &filler{Stats: s, at: metav1.NewTime(s.config.Now()), pods: map[string]*v1.Pod{}}
	for _, pod := range s.config.Pods() {
		if !pods.IsFinal(pod.Status.Phase) {
			f.pods[string(pod.UID)] = pod
		}
	}
	return f
}

// parts are the directories that are of interest.
func (f *filler) parts(s *statsv1alpha1.Summary) map[string]measure {
	out := map[string]measure{}
	tree := func(path string) { out[path] = treeAt(path) }
	for _, p := range s.Pods {
		pod := f.pods[p.PodRef.UID]
		if pod == nil {
			continue
		}
		for _, v := range pod.Spec.Volumes {
			if path := f.measuredPath(pod, v); path != "" {
				tree(path)
			}
		}
		for _, i := range pods.Running(f.config.Instances(pod.UID)) {
			switch {
			case i.IsSandbox():
			case i.UpperDir != "":
				tree(i.UpperDir)
			default: // a storage driver that does not say where it writes
				out[i.ID] = func(ctx context.Context) (usage.Disk, error) {
					size, err := f.config.Engine.Written(ctx, i.ID)
					return usage.Disk{Bytes: size}, err
				}
			}
		}
	}
	return out
}

// treeAt measures a directory.
func treeAt(path string) measure {
	return func(ctx context.Context) (usage.Disk, error) { return usage.Tree(ctx, path) }
}

// isMeasured tells of volumes whose files this agent keeps for the Pod: a kubelet has figures
// of those, and none of a hostPath that the Pod declares itself.
func isMeasured(v v1.Volume) bool {
	return v.EmptyDir != nil || v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.Projected != nil
}

func (f *filler) pod(pod *v1.Pod, out *statsv1alpha1.PodStats) {
	out.Containers = slices.Clone(out.Containers)
	volatile, known := f.volumes(pod, out)
	var processes uint64
	for _, i := range pods.Running(f.config.Instances(pod.UID)) {
		if n, err := f.groups.Processes(i.PID); err == nil {
			processes += uint64(n)
		}
		if i.IsSandbox() {
			if !pod.Spec.HostNetwork { // the host's is not the Pod's
				out.Network = network(i.PID)
			}
			continue
		}
		logs, files, ok := f.container(i, out)
		volatile, known = volatile.Add(logs).Add(files), known && ok
	}
	out.ProcessStats = &statsv1alpha1.ProcessStats{ProcessCount: &processes}
	if known { // a sum with holes says nothing
		out.EphemeralStorage = f.used(f.nodeFs, volatile)
	}
}

// volumes fills in the volumes and returns what counts as the Pod's ephemeral storage.
func (f *filler) volumes(pod *v1.Pod, out *statsv1alpha1.PodStats) (volatile usage.Disk, known bool) {
	known = true
	for _, v := range pod.Spec.Volumes {
		path := f.measuredPath(pod, v)
		if path == "" {
			continue
		}
		disk, ok := f.taken[path]
		if counts := pods.OnDisk(v) || v.ConfigMap != nil; counts {
			volatile, known = volatile.Add(disk), known && ok
		}
		if ok {
			out.VolumeStats = append(out.VolumeStats, f.volume(pod, v, path, disk))
		}
	}
	return volatile, known
}

// container fills in one container and returns what it takes.
func (f *filler) container(i pods.Instance, pod *statsv1alpha1.PodStats) (logs, files usage.Disk, ok bool) {
	logs, err := usage.Logs(i.LogPath)
	key := i.UpperDir
	if key == "" {
		key = i.ID
	}
	files, ok = f.taken[key]
	for n := range pod.Containers {
		c := &pod.Containers[n]
		if c.Name != i.ContainerName {
			continue
		}
		if err == nil && i.LogPath != "" {
			c.Logs = f.used(f.filesystem(filepath.Dir(i.LogPath)), logs)
		}
		if ok {
			c.Rootfs = f.used(f.imageFs, files)
		}
	}
	return logs, files, ok && err == nil
}

// network counts what went through the network devices that a process has, the one named
// eth0 as its default.
func network(pid int) *statsv1alpha1.NetworkStats {
	proc, err := procfs.NewProc(pid)
	if err != nil {
		return nil
	}
	devices, err := proc.NetDev()
	if err != nil {
		return nil
	}
	out := &statsv1alpha1.NetworkStats{Time: metav1.Now()}
	for _, d := range devices {
		if d.Name == "lo" {
			continue
		}
		one := statsv1alpha1.InterfaceStats{Name: d.Name, RxBytes: &d.RxBytes, RxErrors: &d.RxErrors, TxBytes: &d.TxBytes, TxErrors: &d.TxErrors}
		out.Interfaces = append(out.Interfaces, one)
		if d.Name == "eth0" {
			out.InterfaceStats = one
		}
	}
	return out
}
