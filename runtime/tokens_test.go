package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ktesting "k8s.io/client-go/testing"
)

// issue answers TokenRequests with numbered tokens, unless failing says otherwise.
func (r *rig) issue(failing *bool, asked *int) {
	r.client.PrependReactor("create", "serviceaccounts", func(a ktesting.Action) (bool, runtime.Object, error) {
		if a.GetSubresource() != "token" {
			return false, nil, nil
		}
		if *failing {
			return true, nil, errors.New("not now")
		}
		*asked++
		request := a.(ktesting.CreateAction).GetObject().(*authenticationv1.TokenRequest).DeepCopy()
		life := time.Duration(*request.Spec.ExpirationSeconds) * time.Second
		request.Status = authenticationv1.TokenRequestStatus{Token: fmt.Sprintf("token %d", *asked), ExpirationTimestamp: metav1.NewTime(time.Now().Add(life))}
		return true, request, nil
	})
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
	text, err := os.ReadFile(filepath.Join(r.agent.volumePath(p.UID, p.Spec.Volumes[0]), "token"))
	if err != nil || string(text) != want {
		r.t.Errorf("the token is %q, %v, want %q", text, err, want)
	}
}

func TestTokenIsRenewedBeforeItEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		failing, asked := false, 0
		r.issue(&failing, &asked)
		r.pod("web", withToken)
		r.wantState("web", "app", "running 0")
		r.wantToken("web", "token 1")
		r.after(47 * time.Minute)
		r.wantToken("web", "token 1")
		failing = true
		r.after(5 * time.Minute)
		r.wantToken("web", "token 1") // still good
		failing = false
		r.after(tokenRetry + time.Second)
		r.wantToken("web", "token 2")
		if asked != 2 {
			t.Errorf("%d tokens were asked for", asked)
		}
	})
}

func TestPodWaitsForItsToken(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		failing, asked := true, 0
		r.issue(&failing, &asked)
		r.pod("web", withToken)
		r.wantState("web", "app", "waiting ContainerCreating 0")
		r.wantEvent("web", `FailedMount: MountVolume.SetUp failed for volume "api" : failed to fetch token`)
		failing = false
		r.after(configRetry + time.Second)
		r.wantState("web", "app", "running 0")
	})
}
