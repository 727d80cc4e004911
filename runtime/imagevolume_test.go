package runtime

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/images"
	v1 "k8s.io/api/core/v1"
)

func withImageVolume(ref string, policy v1.PullPolicy) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{Image: &v1.ImageVolumeSource{Reference: ref, PullPolicy: policy}}}}
		for n := range p.Spec.Containers {
			p.Spec.Containers[n].VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v"}}
		}
	}
}

func TestImageVolumeIsPulledAndShownReadOnly(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.pull = func(context.Context, string) error { time.Sleep(3 * time.Second); return nil }
		r.pod("web", withImageVolume("models/small:1", v1.PullIfNotPresent))
		r.wantState("web", "app", "waiting ContainerCreating 0")
		r.wantEvent("web", `Pulling: Pulling image "models/small:1"`)
		r.after(3 * time.Second)
		r.wantState("web", "app", "running 0")
		mount := r.engine.get("k8s_app_web_ns_uid-web_0").spec.Mounts[0]
		content, err := os.ReadFile(filepath.Join(mount.Source, "ref"))
		if string(content) != "models/small:1" || mount.Target != "/v" || !mount.ReadOnly {
			t.Errorf("%q, %v in %+v", content, err, mount)
		}
	})
}

func TestImageVolumeThatCannotBePulledKeepsTheContainerWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", withImageVolume("models/small:1", v1.PullNever))
		r.wantState("web", "app", "waiting ErrImageNeverPull 0")
		r.engine.build("models/small:1")
		r.after(images.LocalCheckPeriod + time.Second)
		r.wantState("web", "app", "running 0")
	})
}

func TestImageVolumeTakesNoContainersName(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.pull = func(context.Context, string) error { time.Sleep(3 * time.Second); return nil }
		r.pod("web", func(p *v1.Pod) {
			withImageVolume("models/small:1", v1.PullIfNotPresent)(p)
			p.Spec.Containers = append(p.Spec.Containers, app("image-volume-v"))
		})
		r.after(4 * time.Second)
		r.wantState("web", "app", "running 0")
		r.wantState("web", "image-volume-v", "running 0")
	})
}

func TestPodIsDeletedWhileItsImageVolumeIsCopied(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.build("models/large:1")
		r.engine.readDelay = 10 * time.Second
		began := time.Now()
		r.pod("web", withImageVolume("models/large:1", v1.PullIfNotPresent))
		r.delete("web", 30)
		r.after(r.engine.readDelay)
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it took %v", took)
		}
		r.wantNames()
		if _, err := os.Stat(r.agent.dirs.Pod("uid-web")); !os.IsNotExist(err) {
			t.Errorf("its directory is left: %v", err)
		}
	})
}
