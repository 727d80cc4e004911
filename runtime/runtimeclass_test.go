package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/node"
	"github.com/kube-lite/kube-lite/runtime/spec"
	v1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ktesting "k8s.io/client-go/testing"
)

func TestRuntimeClassLeadsToDockersRuntime(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		classes, err := r.client.NodeV1().RuntimeClasses().List(t.Context(), metav1.ListOptions{})
		if err != nil || len(classes.Items) != 2 || classes.Items[0].Handler != "runc" || classes.Items[1].Handler != "sandboxed" {
			t.Errorf("Docker's runtimes are declared as %v, %v", classes, err)
		}
		class := &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "tight"}, Handler: "sandboxed"}
		if _, err := r.client.NodeV1().RuntimeClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		for class, want := range map[string]string{"tight": "sandboxed", "sandboxed": "sandboxed", "kata": ""} {
			r.pod(class, func(p *v1.Pod) { p.UID = types.UID("uid-" + class); p.Spec.RuntimeClassName = &class })
			for _, container := range []string{"POD", "app"} {
				if got := r.engine.get("k8s_" + container + "_" + class + "_ns_uid-" + class + "_0").spec.Runtime; got != want {
					t.Errorf("class %s: %s has runtime %q, want %q", class, container, got, want)
				}
			}
		}
		r.wantEvent("kata", `UnsupportedField: spec.runtimeClassName is ignored: Docker has no runtime for "kata"`)
	})
}

func TestRuntimesAreDeclaredWhenTheAPIServerTakesThemAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.stop()
		if err := r.client.NodeV1().RuntimeClasses().Delete(t.Context(), "runc", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		var refuses atomic.Bool
		refuses.Store(true)
		r.client.PrependReactor("create", "runtimeclasses", func(ktesting.Action) (bool, runtime.Object, error) {
			return refuses.Load(), nil, apierrors.NewServiceUnavailable("busy")
		})
		r.start()
		r.after(node.CheckPeriod)
		refuses.Store(false)
		r.after(node.CheckPeriod)
		if _, err := r.client.NodeV1().RuntimeClasses().Get(t.Context(), "runc", metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// An image that comes between the look and the create must not slip through.
func TestNonRootWaitsForItsImage(t *testing.T) {
	yes := true
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers[0].Image, p.Spec.Containers[0].ImagePullPolicy = "far/away:1", v1.PullNever
			p.Spec.SecurityContext = &v1.PodSecurityContext{RunAsNonRoot: &yes}
		})
		r.wantState("web", "app", "waiting ErrImageNeverPull 0")
	})
}

func TestMissingSeccompProfileIsACreateError(t *testing.T) {
	name := "audit.json"
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) {
			p.Spec.SecurityContext = &v1.PodSecurityContext{SeccompProfile: &v1.SeccompProfile{Type: v1.SeccompProfileTypeLocalhost, LocalhostProfile: &name}}
		})
		r.wantState("web", "app", "waiting CreateContainerError 0")
		r.wantEvent("web", `Failed: Error: cannot load seccomp profile "audit.json"`)
		if err := os.MkdirAll(filepath.Join(r.opts.Root, spec.SeccompDir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(r.opts.Root, spec.SeccompDir, name), []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
		r.after(retryMax)
		r.wantState("web", "app", "running 0")
	})
}

func TestHeldContainerIsTriedWhenItsTimeHasComeHoweverOftenItIsLookedAt(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		name := "late.json"
		r.pod("web", func(p *v1.Pod) {
			p.Spec.SecurityContext = &v1.PodSecurityContext{SeccompProfile: &v1.SeccompProfile{Type: v1.SeccompProfileTypeLocalhost, LocalhostProfile: &name}}
		})
		for range 8 {
			r.agent.enqueueAll()
			r.after(retryFirst)
		}
		failures := 0
		for _, e := range r.reasons("web") {
			if strings.HasPrefix(e, "Failed: ") {
				failures++
			}
		}
		if failures < 3 { // at 0, 1 and 3 seconds
			t.Errorf("tried %d times in 8 s", failures)
		}
	})
}
