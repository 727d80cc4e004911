package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kube-lite/kube-lite/runtime/usage"
	v1 "k8s.io/api/core/v1"
	statsv1alpha1 "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// inDisks runs a test with disks whose rounds end with it.
func inDisks(t *testing.T, test func(*testing.T, *disks)) {
	synctest.Test(t, func(t *testing.T) {
		work := &tasks{}
		ctx, cancel := context.WithCancel(t.Context())
		work.open(ctx)
		defer work.wait()
		defer cancel()
		test(t, &disks{tasks: work, now: time.Now, log: slog.New(slog.DiscardHandler), known: map[string]measured{}})
	})
}

// lasting is a measure that takes that long, and counts.
func lasting(took time.Duration, count *int64) measure {
	return func(ctx context.Context) (usage.Disk, error) {
		*count++
		select {
		case <-time.After(took):
			return usage.Disk{Bytes: *count}, nil
		case <-ctx.Done():
			return usage.Disk{}, ctx.Err()
		}
	}
}

func TestDirectoriesAreMeasuredOnceForAllWhoAsk(t *testing.T) {
	inDisks(t, func(t *testing.T, d *disks) {
		var count int64
		parts := map[string]measure{"a": lasting(0, &count)}
		for _, c := range []struct {
			pause time.Duration
			want  int64
		}{{0, 1}, {0, 1}, {diskFresh - 1, 1}, {2, 2}} {
			time.Sleep(c.pause)
			if got := d.take(t.Context(), parts)["a"].Bytes; got != c.want {
				t.Errorf("after %v: measurement %d, want %d", c.pause, got, c.want)
			}
		}
	})
}

func TestAnAnswerDoesNotWaitForLongMeasurements(t *testing.T) {
	inDisks(t, func(t *testing.T, d *disks) {
		var count int64
		const long = 20 * time.Second
		parts := map[string]measure{"a": lasting(long, &count)}
		began := time.Now()
		for range 3 { // and the next who ask start no second one
			if got := d.take(t.Context(), parts); len(got) != 0 {
				t.Errorf("got %v before it was measured", got)
			}
		}
		if took := time.Since(began); took != 3*diskWait {
			t.Errorf("three answers took %v", took)
		}
		time.Sleep(long)
		if got := d.take(t.Context(), parts)["a"].Bytes; got != 1 {
			t.Errorf("measurement %d, want the first", got)
		}
		time.Sleep(2 * diskFresh)
		if d.take(t.Context(), parts); count != 1 {
			t.Error("what took long was measured again after so short a pause")
		}
	})
}

func TestWhatCannotBeMeasuredHasNoFigure(t *testing.T) {
	inDisks(t, func(t *testing.T, d *disks) {
		var count int64
		got := d.take(t.Context(), map[string]measure{
			"bad":  func(context.Context) (usage.Disk, error) { return usage.Disk{Bytes: 5}, errors.New("no") },
			"good": lasting(0, &count),
		})
		if _, bad := got["bad"]; bad || got["good"].Bytes != 1 {
			t.Errorf("got %v", got)
		}
		time.Sleep(2 * diskKept)
		d.take(t.Context(), map[string]measure{"good": lasting(0, &count)})
		if _, kept := d.known["bad"]; kept {
			t.Error("what nobody asks for is kept")
		}
		endless := map[string]measure{"endless": lasting(time.Hour, &count)}
		d.take(t.Context(), endless)
		time.Sleep(diskRound)
		if got := d.take(t.Context(), endless); len(got) != 0 {
			t.Errorf("got %v", got)
		}
	})
}

func TestWhoAsksDuringAnothersRoundGetsHisOwn(t *testing.T) {
	inDisks(t, func(t *testing.T, d *disks) {
		var count int64
		go d.take(t.Context(), map[string]measure{"a": lasting(diskWait/4, &count)})
		synctest.Wait()
		if got := d.take(t.Context(), map[string]measure{"b": lasting(diskWait/4, &count)}); got["b"].Bytes != 2 {
			t.Errorf("got %v", got)
		}
		if len(d.known) != 2 {
			t.Errorf("known are %v", d.known)
		}
	})
}

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
		if _, err := r.agent.mirror.refresh(t.Context(), r.engine.get("k8s_app_web_ns_uid-web_0").ID); err != nil {
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
		if len(r.agent.stats.disks.known) != 0 {
			t.Errorf("measured %v", r.agent.stats.disks.known)
		}
	})
}
