package runtime

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/limits"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ofSet is a Pod that a ReplicaSet made and that this node rejects.
func ofSet(set types.UID) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "rs", UID: set, Controller: new(bool)}}
		*p.OwnerReferences[0].Controller = true
		p.Spec.HostUsers = new(bool)
	}
}

func TestPodsThatAreRejectedAreNotRemadeWithoutPause(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		// As a ReplicaSet with three replicas: a Pod that failed is replaced at once.
		made := 0
		var alive []string
		for began := time.Now(); time.Since(began) < 10*time.Minute; r.after(2 * time.Second) {
			alive = slices.DeleteFunc(alive, func(name string) bool { return r.get(name).Status.Phase == v1.PodFailed })
			for ; len(alive) < 3; made++ {
				name := fmt.Sprintf("web-%d", made)
				r.pod(name, ofSet("set"))
				alive = append(alive, name)
			}
		}
		if made < 10 || made > 16 { // one fails after 0, 1, 3, 7, 15, 31, 63, 127, 255 and 511 s
			t.Errorf("%d pods were made in ten minutes", made)
		}
	})
}

func TestPodThatWaitsToBeRejectedSaysWhy(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("one", ofSet("set"))
		r.pod("two", ofSet("set"))
		if s := r.get("two").Status; s.Phase != v1.PodPending || s.Reason != "UserNamespacesNotSupported" || s.Message == "" || len(s.ContainerStatuses) > 0 {
			t.Errorf("two is %s, %s: %s, containers %v", s.Phase, s.Reason, s.Message, s.ContainerStatuses)
		}
		r.wantEvent("two", "UserNamespacesNotSupported: ")
		r.pod("other", ofSet("other"))
		r.pod("bare", func(p *v1.Pod) { p.Spec.HostUsers = new(bool) })
		for _, name := range []string{"one", "other", "bare"} {
			if s := r.get(name).Status; s.Phase != v1.PodFailed || s.Reason != "UserNamespacesNotSupported" {
				t.Errorf("%s is %s, %s", name, s.Phase, s.Reason)
			}
		}
		r.after(2 * limits.RejectFirst)
		if s := r.get("two").Status; s.Phase != v1.PodFailed {
			t.Errorf("two is %s", s.Phase)
		}
		if told := r.reasons("two"); len(told) != 1 {
			t.Errorf("two was told %q", told)
		}
	})
}

func TestPodThatWaitsToBeRejectedIsTakenIfItFitsMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		all := fmt.Sprint(r.agent.node.Facts.CPUs)
		asks := func(p *v1.Pod) {
			ofSet("set")(p)
			p.Spec.HostUsers = nil
			p.Spec.Containers[0].Resources.Requests = amounts("cpu", all)
		}
		r.pod("first", asks)
		r.pod("second", asks)
		r.pod("third", asks)
		if s := r.get("third").Status; s.Phase != v1.PodPending || s.Reason != "OutOfcpu" {
			t.Fatalf("third is %s, %s", s.Phase, s.Reason)
		}
		r.delete("first", 1)
		r.after(5 * time.Second)
		r.wantState("third", "app", "running 0")
		if s := r.get("third").Status; s.Reason != "" || s.Message != "" {
			t.Errorf("it still says %s: %s", s.Reason, s.Message)
		}
	})
}
