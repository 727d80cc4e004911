package orchestrator

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A ConfigMap is a kind without a controller of ours: what becomes of one is the
// collector's doing alone.
func (f *fakeAPI) createMap(t *testing.T, name string, owners ...*corev1.ConfigMap) *corev1.ConfigMap {
	t.Helper()
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
	for _, o := range owners {
		m.OwnerReferences = append(m.OwnerReferences, metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: o.Name, UID: o.UID, BlockOwnerDeletion: new(true)})
	}
	got, err := f.client.CoreV1().ConfigMaps("default").Create(t.Context(), m, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (f *fakeAPI) deleteMap(t *testing.T, name string, policy metav1.DeletionPropagation) {
	t.Helper()
	if err := f.client.CoreV1().ConfigMaps("default").Delete(t.Context(), name, metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
		t.Fatal(err)
	}
}

func (f *fakeAPI) maps(t *testing.T) []string {
	t.Helper()
	list, err := f.client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range list.Items {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return names
}

func (f *fakeAPI) wantMaps(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, func() error {
		if got := f.maps(t); !slices.Equal(got, want) {
			return fmt.Errorf("there are %v, want %v", got, want)
		}
		return nil
	})
}

func TestBackgroundDeletionTakesDependentsOfDependents(t *testing.T) {
	f := start(t)
	a := f.createMap(t, "a")
	b := f.createMap(t, "b", a)
	f.createMap(t, "c", b)
	f.createMap(t, "other")
	f.deleteMap(t, "a", metav1.DeletePropagationBackground)
	f.wantMaps(t, "other")
}

func TestADependentLivesWhileOneOwnerDoes(t *testing.T) {
	f := start(t)
	a, b := f.createMap(t, "a"), f.createMap(t, "b")
	f.createMap(t, "shared", a, b)
	f.deleteMap(t, "a", metav1.DeletePropagationBackground)
	eventually(t, func() error { // the dangling reference goes
		m, err := f.client.CoreV1().ConfigMaps("default").Get(t.Context(), "shared", metav1.GetOptions{})
		if err == nil && len(m.OwnerReferences) != 1 {
			err = fmt.Errorf("owners %v", m.OwnerReferences)
		}
		return err
	})
	f.deleteMap(t, "b", metav1.DeletePropagationBackground)
	f.wantMaps(t)
}

func TestForegroundDeletionEndsTheOwnerLast(t *testing.T) {
	f := start(t)
	a := f.createMap(t, "a")
	b := f.createMap(t, "b", a)
	c := f.createMap(t, "c", b)
	// c does not go until its finalizer is gone, and so neither do b and a.
	c.Finalizers = []string{"test/hold"}
	if _, err := f.client.CoreV1().ConfigMaps("default").Update(t.Context(), c, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.deleteMap(t, "a", metav1.DeletePropagationForeground)
	eventually(t, func() error {
		c, err := f.client.CoreV1().ConfigMaps("default").Get(t.Context(), "c", metav1.GetOptions{})
		if err == nil && c.DeletionTimestamp == nil {
			err = fmt.Errorf("c is not being deleted")
		}
		return err
	})
	if got := f.maps(t); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Fatalf("there are %v while c is held, want all", got)
	}
	eventually(t, func() error {
		c, err := f.client.CoreV1().ConfigMaps("default").Get(t.Context(), "c", metav1.GetOptions{})
		if err != nil {
			return err
		}
		c.Finalizers = slices.DeleteFunc(c.Finalizers, func(name string) bool { return name == "test/hold" })
		_, err = f.client.CoreV1().ConfigMaps("default").Update(t.Context(), c, metav1.UpdateOptions{})
		return err
	})
	f.wantMaps(t)
}

func TestForegroundDeletionDoesNotWaitForWhatDoesNotBlock(t *testing.T) {
	f := start(t)
	a := f.createMap(t, "a")
	b := f.createMap(t, "b", a)
	b.OwnerReferences[0].BlockOwnerDeletion = nil
	b.Finalizers = []string{"test/hold"}
	if _, err := f.client.CoreV1().ConfigMaps("default").Update(t.Context(), b, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.deleteMap(t, "a", metav1.DeletePropagationForeground)
	f.wantMaps(t, "b")
}

func TestOwnersInACircleAreAllDeletedInForeground(t *testing.T) {
	f := start(t)
	a := f.createMap(t, "a")
	b := f.createMap(t, "b", a)
	a.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "b", UID: b.UID, BlockOwnerDeletion: new(true)}}
	if _, err := f.client.CoreV1().ConfigMaps("default").Update(t.Context(), a, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.deleteMap(t, "a", metav1.DeletePropagationForeground)
	f.wantMaps(t)
}

func TestOrphanDeletionKeepsTheDependents(t *testing.T) {
	f := start(t)
	f.createReplicaSet(t, testReplicaSet("echo", 3))
	f.wantPods(t, "", 3)
	if err := f.client.AppsV1().ReplicaSets("default").Delete(t.Context(), "echo", metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationOrphan)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if _, err := f.client.AppsV1().ReplicaSets("default").Get(t.Context(), "echo", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the replica set is still there: %v", err)
		}
		return nil
	})
	for _, pod := range f.wantPods(t, "", 3) {
		if len(pod.OwnerReferences) != 0 {
			t.Errorf("pod %s still has the owner %v", pod.Name, pod.OwnerReferences)
		}
	}
}

// A dependent whose creation the watch has not shown is orphaned all the same.
func TestOrphanDeletionFindsWhatTheWatchHasNotShown(t *testing.T) {
	f := start(t)
	a := f.createMap(t, "a")
	f.createMap(t, "seen", a)
	rs := testReplicaSet("owned", 0)
	rs.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "a", UID: a.UID}}
	release := f.hold(replicaSetsGVR)
	f.createReplicaSet(t, rs)
	f.deleteMap(t, "a", metav1.DeletePropagationOrphan)
	f.wantMaps(t, "seen")
	release()
	got, err := f.client.AppsV1().ReplicaSets("default").Get(t.Context(), "owned", metav1.GetOptions{})
	if err != nil || len(got.OwnerReferences) != 0 {
		t.Errorf("owners %v, %v; want none", got.OwnerReferences, err)
	}
}

func TestAnOwnerThatNeverWasIsNoOwner(t *testing.T) {
	f := start(t)
	ghost := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "ghost", UID: "no-such-uid"}}
	real := f.createMap(t, "real")
	namesake := real.DeepCopy()
	namesake.UID = "of-an-earlier-one"
	f.createMap(t, "haunted", ghost)
	f.createMap(t, "left", namesake)
	f.createMap(t, "kept", real)
	f.wantMaps(t, "kept", "real")
}

func TestAnOwnerOfAKindThatTheServerDoesNotKnowKeepsItsDependents(t *testing.T) {
	f := start(t)
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "foreign", Namespace: "default", OwnerReferences: []metav1.OwnerReference{{APIVersion: "example.com/v1", Kind: "Widget", Name: "w", UID: "w"}}}}
	if _, err := f.client.CoreV1().ConfigMaps("default").Create(t.Context(), m, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.createMap(t, "haunted", &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "ghost", UID: "no-such-uid"}})
	f.wantMaps(t, "foreign") // the collector has been at work, and left it
}

func TestDeletingADeploymentTakesItsFamily(t *testing.T) {
	f := deploy(t, testDeployment(3))
	if err := f.client.AppsV1().Deployments("default").Delete(t.Context(), "echo", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if sets, pods := len(f.sets(t)), len(f.podList(t, "")); sets+pods > 0 {
			return fmt.Errorf("%d replica sets and %d pods are left", sets, pods)
		}
		return nil
	})
}
