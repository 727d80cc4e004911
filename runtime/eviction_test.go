package runtime

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/limits"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// fill writes that many bytes to a new file.
func fill(t *testing.T, path string, size int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o644); err != nil {
		t.Fatal(err)
	}
}

// scratch is a directory of the Pod with a limit; empty: none.
func scratch(name, limit string) v1.Volume {
	v := v1.Volume{Name: name, VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}
	if limit != "" {
		size := resource.MustParse(limit)
		v.EmptyDir.SizeLimit = &size
	}
	return v
}

func TestPodThatFillsItsDirectoryIsEvicted(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.stopDelay = time.Minute // deaf to SIGTERM
		r.pod("full", func(p *v1.Pod) { p.Spec.Volumes = []v1.Volume{scratch("v", "100Ki"), scratch("w", "")} })
		pod := r.get("full")
		fill(t, filepath.Join(r.agent.dirs.Volume(pod.UID, pod.Spec.Volumes[1]), "x"), 1_000_000)
		r.after(2 * limits.MeasurePeriod)
		r.wantState("full", "app", "running 0")
		fill(t, filepath.Join(r.agent.dirs.Volume(pod.UID, pod.Spec.Volumes[0]), "x"), 200_000)
		r.after(limits.MeasurePeriod + limits.EvictionGrace)
		const message = `Usage of EmptyDir volume "v" exceeds the limit "100Ki". `
		if s := r.get("full").Status; s.Phase != v1.PodFailed || s.Reason != "Evicted" || s.Message != message {
			t.Errorf("%s, %s: %q", s.Phase, s.Reason, s.Message)
		}
		r.wantNames("k8s_app_full_ns_uid-full_0 exited")
		r.after(3 * limits.MeasurePeriod)
		told := slices.DeleteFunc(r.reasons("full"), func(e string) bool { return e != "Evicted: "+message })
		if len(told) != 1 {
			t.Errorf("told %d times", len(told))
		}
	})
}

func TestContainerThatWritesTooMuchHasItsPodEvicted(t *testing.T) {
	for what, taken := range map[string]func(*testing.T, *fakeContainer){
		"files": func(t *testing.T, c *fakeContainer) {
			c.UpperDir = t.TempDir()
			fill(t, filepath.Join(c.UpperDir, "x"), 2<<20)
		},
		"files that Docker measures": func(_ *testing.T, c *fakeContainer) { c.written = 2 << 20 },
		"logs": func(t *testing.T, c *fakeContainer) {
			c.LogPath = filepath.Join(t.TempDir(), "log")
			fill(t, c.LogPath+".1", 2<<20)
		},
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.pod("full", func(p *v1.Pod) {
					p.Spec.Containers[0].Resources.Limits = amounts("ephemeral-storage", "1Mi")
					roomy := app("roomy")
					roomy.Resources.Limits = amounts("ephemeral-storage", "1Gi")
					p.Spec.Containers = append(p.Spec.Containers, roomy)
				})
				r.engine.change("k8s_app_full_ns_uid-full_0", func(c *fakeContainer) { taken(t, c) })
				if _, err := r.agent.mirror.Refresh(t.Context(), r.engine.get("k8s_app_full_ns_uid-full_0").ID); err != nil {
					t.Fatal(err)
				}
				r.after(limits.MeasurePeriod + limits.EvictionGrace)
				if s := r.get("full").Status; s.Reason != "Evicted" || s.Message != `Container app exceeded its local ephemeral storage limit "1Mi". ` {
					t.Errorf("%s, %s: %q", s.Phase, s.Reason, s.Message)
				}
			})
		})
	}
}

func TestWhatContainersWriteToThePodsOwnFilesCounts(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("full", func(p *v1.Pod) {
			p.Spec.Containers[0].TerminationMessagePath = "/dev/termination-log"
			p.Spec.Containers[0].Resources.Limits = amounts("ephemeral-storage", "1Mi")
		})
		fill(t, r.agent.files.MessagePath("uid-full", "app", 0), 2<<20)
		r.after(limits.MeasurePeriod + limits.EvictionGrace)
		if s := r.get("full").Status; s.Message != "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. " {
			t.Errorf("%s, %s: %q", s.Phase, s.Reason, s.Message)
		}
	})
}

func TestPodThatIsSlowToMeasureHidesNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		const long = time.Minute
		r.pod("slow", func(p *v1.Pod) { p.Spec.Containers[0].Resources.Limits = amounts("ephemeral-storage", "1Gi") })
		r.engine.change("k8s_app_slow_ns_uid-slow_0", func(c *fakeContainer) { c.counted = long })
		r.pod("full", func(p *v1.Pod) { p.Spec.Volumes = []v1.Volume{scratch("v", "100Ki")} })
		r.after(limits.MeasurePeriod + long)
		fill(t, filepath.Join(r.agent.dirs.Volume("uid-full", scratch("v", "")), "x"), 200_000)
		r.after(2*limits.MeasurePeriod + limits.EvictionGrace)
		if s := r.get("full").Status; s.Reason != "Evicted" {
			t.Errorf("%s, %s", s.Phase, s.Reason)
		}
	})
}

func TestCriticalPodsAreNotEvicted(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		critical := int32(2_000_000_000)
		r.pod("vital", func(p *v1.Pod) {
			p.Spec.Priority, p.Spec.Volumes = &critical, []v1.Volume{scratch("v", "1Ki")}
		})
		pod := r.get("vital")
		fill(t, filepath.Join(r.agent.dirs.Volume(pod.UID, pod.Spec.Volumes[0]), "x"), 200_000)
		r.after(2 * limits.MeasurePeriod)
		r.wantState("vital", "app", "running 0")
	})
}
