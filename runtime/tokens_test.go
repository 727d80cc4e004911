package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/files"
	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ktesting "k8s.io/client-go/testing"
)

// issue answers TokenRequests with numbered tokens, unless failing says otherwise. It returns how many requests there were.
func (r *rig) issue(failing *atomic.Bool, asked *atomic.Int32) (requests *atomic.Int32) {
	requests = new(atomic.Int32)
	r.client.PrependReactor("create", "serviceaccounts", func(a ktesting.Action) (bool, runtime.Object, error) {
		if a.GetSubresource() != "token" {
			return false, nil, nil
		}
		requests.Add(1)
		if failing.Load() {
			return true, nil, errors.New("not now")
		}
		number := asked.Add(1)
		request := a.(ktesting.CreateAction).GetObject().(*authenticationv1.TokenRequest).DeepCopy()
		life := time.Duration(*request.Spec.ExpirationSeconds) * time.Second
		request.Status = authenticationv1.TokenRequestStatus{Token: fmt.Sprintf("token %d", number), ExpirationTimestamp: metav1.NewTime(time.Now().Add(life))}
		return true, request, nil
	})
	return requests
}

// withToken is a Pod with a token of an hour.
func withToken(p *v1.Pod) {
	hour := int64(3600)
	p.Spec.ServiceAccountName = "default"
	p.Spec.Volumes = []v1.Volume{{Name: "api", VolumeSource: v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{
		Sources: []v1.VolumeProjection{{ServiceAccountToken: &v1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &hour}}},
	}}}}
	p.Spec.Containers[0].VolumeMounts = []v1.VolumeMount{{Name: "api", MountPath: "/api"}}
}

func (r *rig) wantToken(pod, want string) {
	r.t.Helper()
	p := r.get(pod)
	text, err := os.ReadFile(filepath.Join(r.agent.dirs.Volume(p.UID, p.Spec.Volumes[0]), "token"))
	if err != nil || string(text) != want {
		r.t.Errorf("the token is %q, %v, want %q", text, err, want)
	}
}

func TestTokenIsRenewedBeforeItEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var failing atomic.Bool
		var asked atomic.Int32
		r.issue(&failing, &asked)
		r.pod("web", withToken)
		r.wantState("web", "app", "running 0")
		r.wantToken("web", "token 1")
		r.after(47 * time.Minute)
		r.wantToken("web", "token 1")
		failing.Store(true)
		r.after(5 * time.Minute)
		r.wantToken("web", "token 1") // still good
		failing.Store(false)
		r.after(files.TokenRetryMax + time.Second)
		r.wantToken("web", "token 2")
		if asked.Load() != 2 {
			t.Errorf("%d tokens were asked for", asked.Load())
		}
	})
}

// The ServiceAccount was deleted, and the token has expired.
func TestTokenThatExpiredIsRequestedEverLessOften(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var failing atomic.Bool
		var asked atomic.Int32
		requests := r.issue(&failing, &asked)
		r.pod("web", withToken)
		failing.Store(true)
		r.after(time.Hour)
		before := requests.Load()
		r.after(10 * time.Minute)
		if n := requests.Load() - before; n < 5 || n > 11 {
			t.Errorf("%d requests in ten minutes", n)
		}
		if n := countEvents(r.reasons("web"), "FailedMount"); n != 1 {
			t.Errorf("%d events: %q", n, r.reasons("web"))
		}
		failing.Store(false)
		r.after(files.TokenRetryMax + time.Second)
		r.wantToken("web", "token 2")
	})
}

// A ConfigMap that lies before it in its volume is gone when the token is due.
func TestTokenWaitsForTheSourcesBeforeIt(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var failing atomic.Bool
		var asked atomic.Int32
		requests, looks, maps := r.issue(&failing, &asked), new(atomic.Int32), r.client.CoreV1().ConfigMaps("ns")
		r.client.PrependReactor("get", "configmaps", func(ktesting.Action) (bool, runtime.Object, error) {
			looks.Add(1)
			return false, nil, nil
		})
		first := &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "first"}, Data: map[string]string{"a": "1"}}
		create := func() {
			if _, err := maps.Create(t.Context(), first, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			r.settle()
		}
		create()
		r.pod("web", func(p *v1.Pod) {
			withToken(p)
			sources := &p.Spec.Volumes[0].Projected.Sources
			*sources = append([]v1.VolumeProjection{{ConfigMap: &v1.ConfigMapProjection{LocalObjectReference: v1.LocalObjectReference{Name: "first"}}}}, *sources...)
		})
		if err := maps.Delete(t.Context(), "first", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		r.after(time.Hour)
		if requests.Load() != 1 || looks.Load() > 100 || countEvents(r.reasons("web"), "FailedMount") != 1 {
			t.Errorf("%d requests, %d looks for the ConfigMap, events %q", requests.Load(), looks.Load(), r.reasons("web"))
		}
		create()
		r.wantToken("web", "token 2")
	})
}

// countEvents tells how many of the events have a reason.
func countEvents(events []string, reason string) (n int) {
	for _, e := range events {
		if strings.HasPrefix(e, reason+":") {
			n++
		}
	}
	return n
}

func TestPodWaitsForItsToken(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var failing atomic.Bool
		var asked atomic.Int32
		failing.Store(true)
		r.issue(&failing, &asked)
		r.pod("web", withToken)
		r.wantState("web", "app", "waiting ContainerCreating 0")
		r.wantEvent("web", `FailedMount: MountVolume.SetUp failed for volume "api" : failed to fetch token`)
		failing.Store(false)
		r.after(configRetry + time.Second)
		r.wantState("web", "app", "running 0")
	})
}
