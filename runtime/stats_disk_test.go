package runtime

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	statsv1alpha1 "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

func TestSummaryTellsOfDisks(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) { p.Spec.Volumes = []v1.Volume{scratch("v", "")} })
		pod := r.get("web")
		fill(t, filepath.Join(r.agent.dirs.Volume(pod.UID, pod.Spec.Volumes[0]), "x"), 3<<20)
		r.engine.change("k8s_app_web_ns_uid-web_0", func(c *fakeContainer) {
			c.UpperDir, c.LogPath = t.TempDir(), filepath.Join(t.TempDir(), "log")
			fill(t, filepath.Join(c.UpperDir, "x"), 2<<20)
			fill(t, c.LogPath, 1<<20)
		})
		if _, err := r.agent.mirror.Refresh(t.Context(), r.engine.get("k8s_app_web_ns_uid-web_0").ID); err != nil {
			t.Fatal(err)
		}
		got := r.summary("/stats/summary")
		one := got.Pods[0]
		for what, part := range map[string]struct {
			fs   *statsv1alpha1.FsStats
			want uint64 // MiB, directories aside
		}{
			"the files of the container": {one.Containers[0].Rootfs, 2},
			"its log":                    {one.Containers[0].Logs, 1},
			"the volume":                 {&one.VolumeStats[0].FsStats, 3},
			"all of them":                {one.EphemeralStorage, 6},
		} {
			if part.fs == nil || *part.fs.UsedBytes>>20 != part.want || *part.fs.CapacityBytes == 0 || *part.fs.AvailableBytes == 0 || *part.fs.InodesUsed == 0 {
				t.Errorf("%s: got %+v, want %d MiB", what, part.fs, part.want)
			}
		}
		if n := got.Node; *n.Fs.CapacityBytes == 0 || *n.Fs.InodesUsed == 0 || *n.Runtime.ImageFs.UsedBytes != 2000 || *n.Rlimit.NumOfRunningProcesses == 0 {
			t.Errorf("the node: %+v", n)
		}
		if got := r.ask("/metrics/cadvisor").Body.String(); !strings.Contains(got, "\ncontainer_fs_usage_bytes{container=\"app\",device=") {
			t.Error("/metrics/cadvisor has no container_fs_usage_bytes")
		}
	})
}

func (r *rig) summary(path string) (out statsv1alpha1.Summary) {
	r.t.Helper()
	if err := json.Unmarshal(r.ask(path).Body.Bytes(), &out); err != nil {
		r.t.Fatal(err)
	}
	return out
}

func TestWhoAsksForCPUAndMemoryOnlyCausesNoMeasurement(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) { p.Spec.Volumes = []v1.Volume{scratch("v", "")} })
		for _, path := range []string{"/metrics", "/metrics/resource"} {
			r.ask(path)
		}
		if got := r.summary("/stats/summary?only_cpu_and_memory=true"); len(got.Pods) != 1 || got.Pods[0].VolumeStats != nil || got.Node.Fs != nil {
			t.Errorf("got %+v", got)
		}
	})
}
