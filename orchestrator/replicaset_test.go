package orchestrator

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
)

func TestReplicaSetMakesItsPods(t *testing.T) {
	f := start(t)
	f.createReplicaSet(t, testReplicaSet("echo", 3))
	for _, pod := range f.wantPods(t, "", 3) {
		if ref := metav1.GetControllerOf(&pod); !strings.HasPrefix(pod.Name, "echo-") || len(pod.Name) != len("echo-xxxxx") || ref == nil || ref.Name != "echo" || !*ref.BlockOwnerDeletion {
			t.Errorf("pod %s of %v, want echo-xxxxx of the replica set", pod.Name, ref)
		}
	}
	eventually(t, func() error {
		rs, err := f.client.AppsV1().ReplicaSets("default").Get(t.Context(), "echo", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if s := rs.Status; s.Replicas != 3 || s.FullyLabeledReplicas != 3 || s.ReadyReplicas != 0 || s.ObservedGeneration != 1 || s.TerminatingReplicas == nil || *s.TerminatingReplicas != 0 {
			return fmt.Errorf("status %+v", s)
		}
		return nil
	})
	eventually(t, func() error {
		return f.hasEvent(t, "SuccessfulCreate", "Created pod: echo-")
	})
}

// hasEvent looks for an event by its reason and the beginning of its message.
func (f *fakeAPI) hasEvent(t *testing.T, reason, message string) error {
	t.Helper()
	list, err := f.client.CoreV1().Events("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		return err
	}
	var seen []string
	for _, e := range list.Items {
		if e.Reason == reason && strings.HasPrefix(e.Message, message) {
			return nil
		}
		seen = append(seen, e.Reason+": "+e.Message)
	}
	return fmt.Errorf("no event %s: %s…, but %q", reason, message, seen)
}

func TestReplicaSetReplacesADeletedPod(t *testing.T) {
	f := start(t)
	f.createReplicaSet(t, testReplicaSet("echo", 2))
	gone := f.wantPods(t, "", 2)[0]
	if err := f.client.CoreV1().Pods("default").Delete(t.Context(), gone.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		for _, pod := range f.wantPods(t, "", 2) {
			if pod.Name == gone.Name {
				return fmt.Errorf("%s is still there", gone.Name)
			}
		}
		return nil
	})
}

func TestReplicaSetScalesDownToExactlyTheSurplus(t *testing.T) {
	f := start(t)
	rs := f.createReplicaSet(t, testReplicaSet("echo", 5))
	f.wantPods(t, "", 5)
	*rs.Spec.Replicas = 2
	eventually(t, func() error {
		rs, err := f.client.AppsV1().ReplicaSets("default").Get(t.Context(), "echo", metav1.GetOptions{})
		if err != nil {
			return err
		}
		rs.Spec.Replicas = new(int32(2))
		_, err = f.client.AppsV1().ReplicaSets("default").Update(t.Context(), rs, metav1.UpdateOptions{})
		return err
	})
	f.wantPods(t, "", 2)
	eventually(t, func() error { return f.hasEvent(t, "SuccessfulDelete", "Deleted pod: echo-") })
}

// The watch shows the controller nothing of what it made, while it is woken
// again and again: it must not make more.
func TestDelayedWatchDoesNotCreateTwice(t *testing.T) {
	f := start(t)
	rs := f.createReplicaSet(t, testReplicaSet("echo", 1))
	eventually(t, func() (err error) { // the controller has seen its first pod
		if rs, err = f.client.AppsV1().ReplicaSets("default").Get(t.Context(), "echo", metav1.GetOptions{}); err == nil && rs.Status.Replicas != 1 {
			err = fmt.Errorf("status %+v", rs.Status)
		}
		return err
	})
	release := f.hold(podsGVR)
	for replicas := int32(2); replicas <= 6; replicas++ {
		eventually(t, func() error {
			var err error
			if rs, err = f.client.AppsV1().ReplicaSets("default").Get(t.Context(), "echo", metav1.GetOptions{}); err != nil {
				return err
			}
			rs.Spec.Replicas = &replicas
			rs, err = f.client.AppsV1().ReplicaSets("default").Update(t.Context(), rs, metav1.UpdateOptions{})
			return err
		})
		eventually(t, func() error { // the first wave is made of the cache that it saw
			if n := len(f.podList(t, "")); n != 2 {
				return fmt.Errorf("%d pods with the watch held, want 2: one seen, one made since", n)
			}
			return nil
		})
	}
	release()
	f.wantPods(t, "", 6)
	if n := f.created("pods"); n != 6 {
		t.Errorf("%d pods were created for 6 replicas", n)
	}
}

// The same for deletion: pods whose end the watch has not shown are not
// replaced by the end of others.
func TestDelayedWatchDoesNotDeleteTwice(t *testing.T) {
	f := start(t)
	addNode(t, f, "node") // bound pods end gracefully: they stay for the watch to hide
	f.createReplicaSet(t, testReplicaSet("echo", 6))
	for _, pod := range f.wantPods(t, "", 6) {
		eventually(t, func() error {
			got, err := f.client.CoreV1().Pods("default").Get(t.Context(), pod.Name, metav1.GetOptions{})
			if err == nil && got.Spec.NodeName == "" {
				err = errors.New("not bound yet")
			}
			return err
		})
	}
	release := f.hold(podsGVR)
	for replicas := int32(5); replicas >= 3; replicas-- {
		eventually(t, func() error {
			rs, err := f.client.AppsV1().ReplicaSets("default").Get(t.Context(), "echo", metav1.GetOptions{})
			if err != nil {
				return err
			}
			rs.Spec.Replicas = &replicas
			_, err = f.client.AppsV1().ReplicaSets("default").Update(t.Context(), rs, metav1.UpdateOptions{})
			return err
		})
	}
	release()
	f.wantPods(t, "", 3)
	if n := f.counted("delete", "pods"); n != 3 {
		t.Errorf("%d deletions for a surplus of 3", n)
	}
}

func (f *fakeAPI) created(resource string) int { return f.counted("create", resource) }

// counted is how many such requests the typed client made.
func (f *fakeAPI) counted(verb, resource string) int {
	n := 0
	for _, a := range f.client.Actions() {
		if a.Matches(verb, resource) && a.GetSubresource() == "" {
			n++
		}
	}
	return n
}

func TestReplicaSetAdoptsOrphansAndReleasesStrangers(t *testing.T) {
	f := start(t)
	orphan := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "orphan", Namespace: "default", Labels: map[string]string{"app": "echo"}}, Spec: testTemplate("echo").Spec}
	if _, err := f.client.CoreV1().Pods("default").Create(t.Context(), orphan, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.createReplicaSet(t, testReplicaSet("echo", 2))
	eventually(t, func() error { return f.controllerIs(t, "orphan", "echo") })
	f.wantPods(t, "app=echo", 2)

	patch := []byte(`{"metadata":{"labels":{"app":"stranger"}}}`)
	if _, err := f.client.CoreV1().Pods("default").Patch(t.Context(), "orphan", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return f.controllerIs(t, "orphan", "") })
	f.wantPods(t, "", 3)
}

func (f *fakeAPI) controllerIs(t *testing.T, pod, want string) error {
	got, err := f.client.CoreV1().Pods("default").Get(t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		return err
	}
	name := ""
	if ref := metav1.GetControllerOf(got); ref != nil {
		name = ref.Name
	}
	if name != want {
		return fmt.Errorf("pod %s belongs to %q, want %q", pod, name, want)
	}
	return nil
}

func TestReplicaSetShowsWhyItCannotCreate(t *testing.T) {
	f := newFakeAPI(t)
	f.deny = func(a clienttesting.Action) error {
		if a.Matches("create", "pods") {
			return errors.New("exceeded quota")
		}
		return nil
	}
	run(t, f)
	f.createReplicaSet(t, testReplicaSet("echo", 1))
	eventually(t, func() error {
		rs, err := f.client.AppsV1().ReplicaSets("default").Get(t.Context(), "echo", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(rs.Status.Conditions) != 1 || rs.Status.Conditions[0].Reason != "FailedCreate" || rs.Status.Conditions[0].Message != "exceeded quota" {
			return fmt.Errorf("conditions %+v", rs.Status.Conditions)
		}
		return f.hasEvent(t, "FailedCreate", "Error creating: exceeded quota")
	})
	f.mu.Lock()
	f.deny = nil
	f.mu.Unlock()
	f.wantPods(t, "", 1)
	eventually(t, func() error {
		rs, err := f.client.AppsV1().ReplicaSets("default").Get(t.Context(), "echo", metav1.GetOptions{})
		if err == nil && len(rs.Status.Conditions) != 0 {
			err = fmt.Errorf("conditions %+v after the failure ended", rs.Status.Conditions)
		}
		return err
	})
}

func TestReplicaSetCountsAPodAvailableOnlyAfterMinReadySeconds(t *testing.T) {
	f := start(t)
	rs := testReplicaSet("echo", 1)
	rs.Spec.MinReadySeconds = 1
	f.createReplicaSet(t, rs)
	f.setStatus(t, &f.wantPods(t, "", 1)[0], true, "10.244.0.2")
	for _, want := range []int32{0, 1} { // ready first, available a second later without any event
		eventually(t, func() error {
			rs, err := f.client.AppsV1().ReplicaSets("default").Get(t.Context(), "echo", metav1.GetOptions{})
			if err != nil {
				return err
			}
			if rs.Status.ReadyReplicas != 1 || rs.Status.AvailableReplicas < want {
				return fmt.Errorf("status %+v, want 1 ready and %d available", rs.Status, want)
			}
			return nil
		})
	}
}

func TestPodsToDeleteAreThoseWhoseLossCostsLeast(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	pod := func(name string, change ...func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.Time{Time: now.Add(-time.Hour)}}}
		p.Spec.NodeName, p.Status.Phase = "node", corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Time{Time: now.Add(-time.Hour)}}}
		for _, c := range change {
			c(p)
		}
		return p
	}
	for _, test := range []struct {
		name   string
		change func(*corev1.Pod) // makes a pod the first to go
	}{
		{"unscheduled", func(p *corev1.Pod) { p.Spec.NodeName = "" }},
		{"pending", func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }},
		{"not ready", func(p *corev1.Pod) { p.Status.Conditions = nil }},
		{"cheaper by annotation", func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.PodDeletionCost: "-1"} }},
		{"ready for a shorter time", func(p *corev1.Pod) {
			p.Status.Conditions[0].LastTransitionTime = metav1.Time{Time: now.Add(-time.Minute)}
		}},
		{"restarted", func(p *corev1.Pod) { p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 1}} }},
		{"younger", func(p *corev1.Pod) { p.CreationTimestamp = metav1.Time{Time: now.Add(-time.Minute)} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			pods := []*corev1.Pod{pod("a"), pod("b"), pod("z", test.change)}
			got := podsToDelete(pods, pods, 1, now)
			if len(got) != 1 || got[0].Name != "z" {
				t.Errorf("deletes %s, want the one that is %s", got[0].Name, test.name)
			}
		})
	}
	t.Run("on the crowded node", func(t *testing.T) {
		pods := []*corev1.Pod{pod("a", func(p *corev1.Pod) { p.Spec.NodeName = "roomy" }), pod("b"), pod("c")}
		if got := podsToDelete(pods, pods, 1, now); got[0].Spec.NodeName != "node" {
			t.Errorf("deletes %s on node %s, want one where there are two", got[0].Name, got[0].Spec.NodeName)
		}
	})
}
