package orchestrator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

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
