package orchestrator

import (
	"fmt"
	"strings"
	"testing"
	"time"

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

func TestSurgeAndUnavailable(t *testing.T) {
	for _, test := range []struct {
		surge, unavailable      string
		replicas                int32
		wantSurge, wantUnavalbl int32
	}{
		{"25%", "25%", 4, 1, 1},
		{"25%", "25%", 3, 1, 0},
		{"25%", "25%", 10, 3, 2},
		{"0", "1%", 2, 0, 1}, // both round to 0: one may be missing
		{"0%", "0%", 1, 0, 1},
		{"1", "0", 5, 1, 0},
		{"0", "5", 3, 0, 3}, // no more than there are
		{"100%", "100%", 3, 3, 3},
	} {
		d := testDeployment(test.replicas)
		d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: new(intstr.Parse(test.surge)), MaxUnavailable: new(intstr.Parse(test.unavailable))}
		if s, u := surgeAndUnavailable(d); s != test.wantSurge || u != test.wantUnavalbl {
			t.Errorf("surge %s, unavailable %s of %d: %d, %d; want %d, %d", test.surge, test.unavailable, test.replicas, s, u, test.wantSurge, test.wantUnavalbl)
		}
	}
}

// size describes a ReplicaSet as "name spec/available".
type size struct {
	name            string
	spec, available int32
	max             string // the annotation, "" for none
}

func testRollout(replicas int32, surge, unavailable string, latest size, old ...size) *rollout {
	d := testDeployment(replicas)
	d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: new(intstr.Parse(surge)), MaxUnavailable: new(intstr.Parse(unavailable))}
	set := func(s size, age int) *appsv1.ReplicaSet {
		rs := testReplicaSet(s.name, s.spec)
		rs.CreationTimestamp = metav1.Time{Time: time.Unix(int64(1000-age), 0)}
		rs.Status.AvailableReplicas = s.available
		rs.Annotations = map[string]string{maxReplicasAnnotation: s.max}
		return rs
	}
	r := &rollout{d: d, latest: set(latest, 0)}
	for i, s := range old {
		r.old = append(r.old, set(s, len(old)-i))
	}
	return r
}

func TestLatestSizeGrowsAsFarAsTheSurgeAllows(t *testing.T) {
	for _, test := range []struct {
		name string
		r    *rollout
		want int32
	}{
		{"first rollout", testRollout(10, "25%", "25%", size{name: "new"}), 10},
		{"room for the surge", testRollout(10, "2", "0", size{name: "new"}, size{name: "old", spec: 10}), 2},
		{"no room", testRollout(10, "2", "0", size{name: "new", spec: 2}, size{name: "old", spec: 10}), 2},
		{"room that the old gave", testRollout(10, "2", "0", size{name: "new", spec: 2}, size{name: "old", spec: 7}), 5},
		{"not beyond what is wanted", testRollout(3, "5", "0", size{name: "new", spec: 2}, size{name: "old", spec: 1}), 3},
		{"down when less is wanted", testRollout(2, "1", "0", size{name: "new", spec: 5}), 2},
	} {
		if got := latestSize(test.r); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

func TestOldSizesShrinkAsFarAsAvailabilityAllows(t *testing.T) {
	for _, test := range []struct {
		name string
		r    *rollout
		want string
	}{
		{"nothing is available of the new", testRollout(10, "2", "0", size{name: "new", spec: 2}, size{name: "old", spec: 10, available: 10}), ""},
		{"one of the new is available", testRollout(10, "2", "0", size{name: "new", spec: 2, available: 1}, size{name: "old", spec: 10, available: 10}), "old=9"},
		{"some may be missing", testRollout(10, "0", "3", size{name: "new"}, size{name: "old", spec: 10, available: 10}), "old=7"},
		{"the unhealthy go first", testRollout(10, "0", "2", size{name: "new"}, size{name: "older", spec: 5, available: 5}, size{name: "old", spec: 5, available: 2}), "old=3 older=5"},
		{"the broken new ones do not count", testRollout(10, "3", "2", size{name: "new", spec: 5}, size{name: "old", spec: 8, available: 7}), ""},
		{"after undo the broken ones go", testRollout(10, "3", "2", size{name: "new", spec: 8, available: 7}, size{name: "broken", spec: 5}), "broken=1"},
		{"pods that a set is about to end do not count", testRollout(4, "1", "0", size{name: "new", spec: 2, available: 2}, size{name: "old", spec: 3, available: 4}), "old=2"},
		{"older before younger", testRollout(4, "0", "2", size{name: "new"}, size{name: "older", spec: 1, available: 1}, size{name: "old", spec: 3, available: 3}), "old=2 older=0"},
	} {
		if got := render(oldSizes(test.r)); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestRescaleIsProportional(t *testing.T) {
	for _, test := range []struct {
		name string
		r    *rollout
		want string
	}{
		{"one set takes all", testRollout(5, "0", "1", size{name: "new", spec: 3}), "new=5"},
		{"the newest takes all when none has pods", testRollout(5, "0", "1", size{name: "new"}, size{name: "old"}), "new=5"},
		// 10 with a surge of 3, 8 old and 5 new, to 15: the documentation's example.
		{"up", testRollout(15, "3", "2", size{name: "new", spec: 5, max: "13"}, size{name: "old", spec: 8, max: "13"}), "new=7 old=11"},
		{"down", testRollout(5, "0", "1", size{name: "new", spec: 5, max: "10"}, size{name: "old", spec: 5, max: "10"}), "new=3 old=2"},
		{"to nothing", testRollout(0, "3", "2", size{name: "new", spec: 5, max: "13"}, size{name: "old", spec: 8, max: "13"}), "new=0 old=0"},
		{"stays", testRollout(10, "3", "2", size{name: "new", spec: 5, max: "13"}, size{name: "old", spec: 8, max: "13"}), "new=5 old=8"},
		{"a recreation that is under way goes on", recreating(testRollout(5, "0", "1", size{name: "new", spec: 1}, size{name: "old", spec: 2})), "new=1 old=2"},
	} {
		if got := render(rescaledSizes(test.r)); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func recreating(r *rollout) *rollout {
	r.d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	return r
}

func render(sizes map[string]int32) string {
	var list []string
	for _, name := range []string{"broken", "new", "old", "older"} {
		if n, ok := sizes[name]; ok {
			list = append(list, fmt.Sprintf("%s=%d", name, n))
		}
	}
	return strings.Join(list, " ")
}

func TestHistoryDropsTheOldestWhenItGrowsTooLong(t *testing.T) {
	long := "1" + strings.Repeat(",12345", historyLength/6)
	if got := appendHistory(long, 7); len(got) > historyLength || !strings.HasSuffix(got, ",7") || strings.HasPrefix(got, "1,") {
		t.Errorf("history of %d bytes begins %.10s and ends %s", len(got), got, got[len(got)-10:])
	}
}
