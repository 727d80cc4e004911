package runtime

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/images"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// withImage declares a Pod of one container.
func (r *rig) withImage(name, image string, policy v1.PullPolicy) {
	r.t.Helper()
	r.pod(name, func(p *v1.Pod) {
		p.Spec.Containers[0].Image, p.Spec.Containers[0].ImagePullPolicy = image, policy
	})
}

func TestMissingImageIsPulled(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.pull = func(context.Context, string) error { time.Sleep(3 * time.Second); return nil }
		r.withImage("web", "far/away:1", v1.PullIfNotPresent)
		r.wantState("web", "app", "waiting ContainerCreating 0")
		r.wantEvent("web", `Pulling: Pulling image "far/away:1"`)
		r.after(3 * time.Second)
		r.wantState("web", "app", "running 0")
		r.wantEvent("web", `Pulled: Successfully pulled image "far/away:1" in 3s (3s including waiting). Image size: 1000 bytes.`)
	})
}

func TestOneImageIsPulledOnceHoweverManyPodsWait(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.pull = func(context.Context, string) error { time.Sleep(time.Minute); return nil }
		for _, name := range []string{"a", "b", "c"} {
			r.withImage(name, "far/away:1", v1.PullIfNotPresent)
		}
		r.withImage("d", "far/away:2", v1.PullIfNotPresent)
		if want := []string{"far/away:1", "far/away:2"}; !slices.Equal(r.engine.pulled(), want) {
			t.Errorf("pulled %q, want %q", r.engine.pulled(), want)
		}
		r.after(time.Minute)
		for _, name := range []string{"a", "b", "c", "d"} {
			r.wantState(name, "app", "running 0")
		}
	})
}

func TestFailedPullBacksOffAndHeals(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.withImage("web", "no/such:1", v1.PullIfNotPresent)
		r.wantState("web", "app", "waiting ErrImagePull 0")
		r.after(2 * time.Second)
		r.wantState("web", "app", "waiting ImagePullBackOff 0")
		r.wantEvent("web", `BackOff: Back-off pulling image "no/such:1"`)
		if message := r.get("web").Status.ContainerStatuses[0].State.Waiting.Message; !strings.Contains(message, "manifest unknown") {
			t.Errorf("message %q does not say why", message)
		}
		r.after(30 * time.Second)
		if n := len(r.engine.pulled()); n != 3 { // at 0, 10 and 30 seconds
			t.Errorf("%d pulls", n)
		}
		r.engine.build("no/such:1")
		r.after(time.Minute)
		r.wantState("web", "app", "running 0")
	})
}

func TestImageThatMustNotBePulled(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.withImage("web", "no/such:1", v1.PullNever)
		r.wantState("web", "app", "waiting ErrImageNeverPull 0")
		r.wantEvent("web", `ErrImageNeverPull: Container image "no/such:1" is not present with pull policy of Never`)
		if len(r.engine.pulled()) > 0 {
			t.Errorf("pulled %q", r.engine.pulled())
		}
		r.engine.build("no/such:1")
		r.after(15 * time.Second)
		r.wantState("web", "app", "running 0")
	})
}

func TestInvalidImageName(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.withImage("web", "NOT//VALID", v1.PullIfNotPresent)
		r.wantState("web", "app", "waiting InvalidImageName 0")
		r.wantEvent("web", `InspectFailed: Failed to apply default image tag "NOT//VALID": couldn't parse image name "NOT//VALID": invalid reference format`)
	})
}

func TestPolicyAlwaysRunsTheLocalImageWhenThePullFails(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.withImage("web", "app:1", v1.PullAlways)
		r.wantState("web", "app", "running 0")
		r.wantEvent("web", `using the one already present on machine`)
	})
}

func TestSilentRegistryIsNotAskedAgainForAMinute(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.pull = func(_ context.Context, ref string) error {
			return &docker.UnreachableError{Ref: ref, Err: errors.New("dial tcp: no route")}
		}
		r.engine.build("shop.example/app:1")
		r.withImage("a", "shop.example/app:1", v1.PullAlways)
		r.withImage("b", "shop.example/app:1", v1.PullAlways)
		r.withImage("c", "shop.example/other:1", v1.PullAlways)
		r.wantState("a", "app", "running 0")
		r.wantState("b", "app", "running 0")
		r.wantState("c", "app", "waiting ErrImagePull 0")
		if len(r.engine.pulled()) != 1 {
			t.Errorf("the registry was asked for %q", r.engine.pulled())
		}
		r.after(2 * time.Minute)
		if len(r.engine.pulled()) < 2 {
			t.Error("the registry is never asked again")
		}
	})
}

func TestPodDeletedWhileItsImageIsPulled(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.pull = func(context.Context, string) error { time.Sleep(10 * time.Minute); return nil }
		r.withImage("web", "far/away:1", v1.PullIfNotPresent)
		r.delete("web", 30)
		r.wantState("web", "app", "gone")
		r.wantNames()
		r.after(20 * time.Minute)
		r.wantNames()
	})
}

func TestPullUsesTheSecretsOfThePod(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		config := `{"auths": {"registry.example": {"username": "ann", "password": "hush"}, "other.example": {"username": "bob", "password": "x"}}}`
		secret := &v1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "login"}, Type: v1.SecretTypeDockerConfigJson,
			Data: map[string][]byte{v1.DockerConfigJsonKey: []byte(config)},
		}
		if _, err := r.client.CoreV1().Secrets("ns").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.engine.pull = func(context.Context, string) error { return nil }
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers[0].Image = "registry.example/team/app:1"
			p.Spec.ImagePullSecrets = []v1.LocalObjectReference{{Name: "missing"}, {Name: "login"}}
		})
		r.wantState("web", "app", "running 0")
		r.wantEvent("web", "FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (missing)")
		if with := r.engine.pulledWith; len(with) != 1 || with[0].Username != "ann" || with[0].Password != "hush" {
			t.Errorf("pulled with %+v", with)
		}
	})
}

func TestLongPullTellsHowFarItIs(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.progress = &docker.Progress{Layer: "a", Status: "Downloading", Current: 12_300_000, Total: 45_600_000}
		r.engine.pull = func(context.Context, string) error { time.Sleep(25 * time.Second); return nil }
		r.withImage("web", "far/away:1", v1.PullIfNotPresent)
		r.after(21 * time.Second)
		count := 0
		for _, e := range r.reasons("web") {
			if e == `Pulling: Pulling image "far/away:1": 12.3 of 45.6 MB so far` {
				count++
			}
		}
		if count != 2 {
			t.Errorf("it was told %d times in 20 s: %q", count, r.reasons("web"))
		}
		r.after(5 * time.Second)
		r.wantState("web", "app", "running 0")
	})
}

func TestImageThatIsBuiltEndsTheBackOff(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.withImage("web", "mine:1", v1.PullIfNotPresent)
		r.after(3 * time.Minute) // the next pull is minutes away
		r.wantState("web", "app", "waiting ImagePullBackOff 0")
		r.engine.build("mine:1")
		r.after(images.LocalCheckPeriod + time.Second)
		r.wantState("web", "app", "running 0")
	})
}
