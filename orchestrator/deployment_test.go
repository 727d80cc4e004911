package orchestrator

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func testDeployment(replicas int32) *appsv1.Deployment {
	quarter := intstr.FromString("25%")
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "echo", Namespace: "default", Annotations: map[string]string{"kubernetes.io/change-cause": "create"}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "echo"}},
			Template:             testTemplate("echo:latest"),
			Strategy:             appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &quarter, MaxUnavailable: &quarter}},
			RevisionHistoryLimit: new(int32(10)), ProgressDeadlineSeconds: new(int32(600)),
		},
	}
}

// deploy starts the orchestrator with a node and a kubelet and rolls d out.
func deploy(t *testing.T, d *appsv1.Deployment) *fakeAPI {
	t.Helper()
	f := start(t)
	addNode(t, f, "node")
	kubelet(t, f)
	if _, err := f.client.AppsV1().Deployments(d.Namespace).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.rolledOut(t)
	return f
}

// rolledOut waits as kubectl rollout status does.
func (f *fakeAPI) rolledOut(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		d, err := f.client.AppsV1().Deployments("default").Get(t.Context(), "echo", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if want, s := *d.Spec.Replicas, d.Status; s.ObservedGeneration < d.Generation || s.UpdatedReplicas != want || s.Replicas != want || s.AvailableReplicas != want || s.UnavailableReplicas != 0 {
			return fmt.Errorf("status %+v, want %d of generation %d", s, want, d.Generation)
		}
		if c := progressing(&d.Status); c == nil || c.Reason != reasonComplete || !strings.HasSuffix(c.Message, "has successfully progressed.") {
			return fmt.Errorf("progressing: %+v", c)
		}
		return nil
	})
}

// change patches the Deployment as a user does.
func (f *fakeAPI) change(t *testing.T, patch string) {
	t.Helper()
	if _, err := f.client.AppsV1().Deployments("default").Patch(t.Context(), "echo", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func image(name string) string {
	return fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"echo","image":%q}]}}}}`, name)
}

// sets returns the ReplicaSets by revision.
func (f *fakeAPI) sets(t *testing.T) map[string]appsv1.ReplicaSet {
	t.Helper()
	list, err := f.client.AppsV1().ReplicaSets("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string]appsv1.ReplicaSet{}
	for _, rs := range list.Items {
		sets[rs.Annotations[revisionAnnotation]] = rs
	}
	return sets
}

func TestDeploymentMakesOneReplicaSetNamedByItsTemplate(t *testing.T) {
	f := deploy(t, testDeployment(3))
	rs, ok := f.sets(t)["1"]
	hash := rs.Labels["pod-template-hash"]
	if !ok || rs.Name != "echo-"+hash || hash == "" || rs.Spec.Selector.MatchLabels["pod-template-hash"] != hash {
		t.Fatalf("replica set %+v", rs.ObjectMeta)
	}
	if a := rs.Annotations; a["kubernetes.io/change-cause"] != "create" || a[desiredReplicasAnnotation] != "3" || a[maxReplicasAnnotation] != "4" {
		t.Errorf("annotations %v", a)
	}
	for _, pod := range f.wantPods(t, "pod-template-hash="+hash, 3) {
		if !strings.HasPrefix(pod.Name, rs.Name+"-") {
			t.Errorf("pod %s, want %s-xxxxx", pod.Name, rs.Name)
		}
	}
	d, err := f.client.AppsV1().Deployments("default").Get(t.Context(), "echo", metav1.GetOptions{})
	if err != nil || d.Annotations[revisionAnnotation] != "1" {
		t.Errorf("deployment has revision %q (%v), want 1", d.Annotations[revisionAnnotation], err)
	}
	eventually(t, func() error {
		return f.hasEvent(t, "ScalingReplicaSet", fmt.Sprintf("Scaled up replica set %s from 0 to 3", rs.Name))
	})
}

func TestDeploymentScalesWithoutANewRevision(t *testing.T) {
	f := deploy(t, testDeployment(3))
	f.change(t, `{"spec":{"replicas":4}}`)
	f.rolledOut(t)
	sets := f.sets(t)
	if rs := sets["1"]; len(sets) != 1 || *rs.Spec.Replicas != 4 || rs.Annotations[desiredReplicasAnnotation] != "4" {
		t.Errorf("replica sets %v, want the one with 4", sets)
	}
}

func TestDeploymentRollsOverAndBack(t *testing.T) {
	f := deploy(t, testDeployment(4))
	first := f.sets(t)["1"]
	f.change(t, `{"metadata":{"annotations":{"kubernetes.io/change-cause":"patch"}}}`)
	f.change(t, image("echo:patched"))
	f.rolledOut(t)
	sets := f.sets(t)
	if len(sets) != 2 || sets["1"].Name != first.Name || *sets["2"].Spec.Replicas != 4 || sets["2"].Annotations["kubernetes.io/change-cause"] != "patch" {
		t.Fatalf("replica sets after the rollout: %v", sets)
	}
	// Undo is a change of the template back; its set takes a new number.
	f.change(t, image("echo:latest"))
	f.rolledOut(t)
	sets = f.sets(t)
	if third := sets["3"]; len(sets) != 2 || third.Name != first.Name || third.Annotations[historyAnnotation] != "1" {
		t.Errorf("replica sets after undo: %v; want %s as revision 3 with history 1", sets, first.Name)
	}
}

func TestDeploymentNeverHasTooFewOrTooManyPods(t *testing.T) {
	d := testDeployment(4)
	d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: new(intstr.FromInt32(1)), MaxUnavailable: new(intstr.FromInt32(0))}
	f := deploy(t, d)
	f.change(t, image("echo:patched"))
	eventually(t, func() error {
		ready := 0
		for _, pod := range f.podList(t, "") {
			if podActive(&pod) && !readySince(&pod).IsZero() {
				ready++
			}
		}
		sets := f.sets(t)
		asked := int32(0)
		for _, rs := range sets {
			asked += *rs.Spec.Replicas
		}
		if ready < 4 || asked > 5 {
			t.Fatalf("%d pods are ready and %d asked for; want at least 4 and at most 5", ready, asked)
		}
		if sets["2"].Status.AvailableReplicas != 4 || sets["1"].Status.Replicas != 0 {
			return fmt.Errorf("not over yet: %+v", sets["2"].Status)
		}
		return nil
	})
}

func TestDeploymentThatIsStuckKeepsTheOldPodsAndTimesOut(t *testing.T) {
	d := testDeployment(4)
	d.Spec.ProgressDeadlineSeconds = new(int32(1))
	f := deploy(t, d)
	f.change(t, image("echo:broken"))
	eventually(t, func() error {
		d, err := f.client.AppsV1().Deployments("default").Get(t.Context(), "echo", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if c := progressing(&d.Status); c == nil || c.Status != corev1.ConditionFalse || c.Reason != "ProgressDeadlineExceeded" || !strings.HasSuffix(c.Message, "has timed out progressing.") {
			return fmt.Errorf("progressing: %+v", c)
		}
		if d.Status.AvailableReplicas != 3 {
			return fmt.Errorf("%d available, want 3 of 4: one may be missing", d.Status.AvailableReplicas)
		}
		return nil
	})
	f.change(t, image("echo:latest")) // and undo works from there
	f.rolledOut(t)
}

func TestPausedDeploymentScalesButDoesNotRoll(t *testing.T) {
	f := deploy(t, testDeployment(2))
	f.change(t, `{"spec":{"paused":true}}`)
	f.change(t, image("echo:patched"))
	f.change(t, `{"spec":{"replicas":3}}`)
	f.wantPods(t, "", 3)
	eventually(t, func() error {
		d, err := f.client.AppsV1().Deployments("default").Get(t.Context(), "echo", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if c := progressing(&d.Status); c == nil || c.Reason != "DeploymentPaused" || d.Status.ObservedGeneration != d.Generation {
			return fmt.Errorf("status %+v", d.Status)
		}
		return nil
	})
	if sets := f.sets(t); len(sets) != 1 {
		t.Errorf("replica sets while paused: %v", sets)
	}
	f.change(t, `{"spec":{"paused":false}}`)
	f.rolledOut(t)
	if _, ok := f.sets(t)["2"]; !ok {
		t.Error("no revision 2 after resume")
	}
}

func TestRecreateEndsAllOldPodsBeforeItStartsNewOnes(t *testing.T) {
	d := testDeployment(3)
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	f := deploy(t, d)
	f.change(t, image("echo:patched"))
	eventually(t, func() error {
		images := map[string]bool{}
		for _, pod := range f.podList(t, "") {
			images[pod.Spec.Containers[0].Image] = true
		}
		if len(images) > 1 {
			t.Fatalf("pods of both templates at once: %v", images)
		}
		if !images["echo:patched"] {
			return fmt.Errorf("no new pods yet")
		}
		return nil
	})
	f.rolledOut(t)
}

func TestDeploymentKeepsNoMoreHistoryThanAsked(t *testing.T) {
	d := testDeployment(1)
	d.Spec.RevisionHistoryLimit = new(int32(1))
	f := deploy(t, d)
	for i := range 3 {
		f.change(t, image(fmt.Sprint("echo:", i)))
		f.rolledOut(t)
	}
	eventually(t, func() error {
		sets := f.sets(t)
		if _, ok := sets["3"]; len(sets) != 2 || !ok {
			return fmt.Errorf("%d replica sets, want revisions 3 and 4", len(sets))
		}
		return nil
	})
}

func TestDeploymentEvadesAHashCollision(t *testing.T) {
	f := newFakeAPI(t)
	d := testDeployment(1)
	stranger := testReplicaSet("echo-"+templateHash(&d.Spec.Template, nil), 0)
	stranger.Spec.Template.Spec.Containers[0].Image = "another"
	f.createReplicaSet(t, stranger)
	run(t, f)
	if _, err := f.client.AppsV1().Deployments("default").Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	want := "echo-" + templateHash(&d.Spec.Template, new(int32(1)))
	eventually(t, func() error {
		_, err := f.client.AppsV1().ReplicaSets("default").Get(t.Context(), want, metav1.GetOptions{})
		return err
	})
}

// A watch that shows the Deployment controller none of its ReplicaSets must not
// make it create, scale or count on them twice.
func TestDelayedWatchDoesNotRollTwice(t *testing.T) {
	f := deploy(t, testDeployment(2))
	release := f.hold(replicaSetsGVR)
	f.change(t, image("echo:patched"))
	eventually(t, func() error {
		if n := len(f.sets(t)); n != 2 {
			return fmt.Errorf("%d replica sets", n)
		}
		return nil
	})
	for i := range 5 {
		f.change(t, fmt.Sprintf(`{"metadata":{"annotations":{"poke":"%d"}}}`, i))
	}
	release()
	f.rolledOut(t)
	if n := f.created("replicasets"); n != 2 {
		t.Errorf("%d replica sets were created for 2 templates", n)
	}
}
