package stats

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

type noImages struct{}

func (noImages) Images(context.Context) ([]docker.Image, error) { return nil, nil }
func (noImages) Written(context.Context, string) (int64, error) { return 0, nil }

func TestDisksAreMeasuredOnlyForWhoAsksForThem(t *testing.T) {
	dirs := pods.Dirs{Root: t.TempDir()}
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "u"}}
	pod.Spec.Volumes = []v1.Volume{{Name: "scratch", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}}
	path := dirs.Volume(pod.UID, pod.Spec.Volumes[0])
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "x"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var work sync.WaitGroup
		defer work.Wait()
		s := New(Config{
			NodeName: "node", Sharing: func() int { return 1 }, Dirs: dirs, Pods: func() []*v1.Pod { return []*v1.Pod{pod} },
			Instances: func(types.UID) []pods.Instance {
				return []pods.Instance{{ContainerName: "app", Container: docker.Container{ID: "c", Status: docker.StatusRunning}}}
			},
			Engine: noImages{}, DockerRoot: func() string { return "" }, Now: time.Now, Log: slog.New(slog.DiscardHandler),
			Start: func(task func(context.Context)) bool { work.Go(func() { task(t.Context()) }); return true },
		})
		got, err := s.summary(t.Context())
		if err != nil || len(got.Pods) != 1 || got.Pods[0].VolumeStats != nil || len(s.disks.known) != 0 {
			t.Errorf("got %+v, measured %v, %v", got, s.disks.known, err)
		}
		if got, err = s.claims(t.Context()); err != nil || got.Pods[0].VolumeStats != nil || len(s.disks.known) != 0 {
			t.Errorf("for claims: got %+v, measured %v, %v", got, s.disks.known, err)
		}
		if got, err = s.full(t.Context()); err != nil || len(got.Pods[0].VolumeStats) != 1 || *got.Pods[0].VolumeStats[0].UsedBytes>>20 != 1 {
			t.Errorf("in full: got %+v, %v", got, err)
		}
	})
}
