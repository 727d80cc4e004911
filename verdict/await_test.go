package verdict

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	k8stesting "k8s.io/client-go/testing"
)

const (
	readyPod   = pod + "status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}"
	pendingPod = pod + "status: {phase: Pending}"
	failedJob  = job + "status: {conditions: [{type: Failed, status: 'True', reason: BackoffLimitExceeded, message: m}]}"
)

func TestAwaitReturnsWhenAllIsAsDeclared(t *testing.T) {
	r := newRig(t, pendingPod, job+"status: {conditions: [{type: Complete, status: 'True'}]}")
	var once sync.Once
	r.dynamic.PrependReactor("get", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
		go once.Do(func() { r.becomes(t, readyPod) }) // the reactor is called under a lock
		return false, nil, nil
	})
	results, passed := r.Await(t.Context())
	if !passed || len(results) != 2 || results[0].Failed || results[0].Text != "is ready" {
		t.Errorf("passed %v: %+v", passed, results)
	}
	if out := r.out.String(); !strings.Contains(out, "✓ Pod web") || !strings.Contains(out, "✓ Job once") {
		t.Errorf("the report is %q", out)
	}
}

// What is ready at first and not when all else is, is not as declared.
func TestAwaitLooksAgainAtTheEnd(t *testing.T) {
	r := newRig(t, readyPod)
	looks := 0
	r.dynamic.PrependReactor("get", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
		if looks++; looks >= 2 {
			o := object(t, pod+"status: {phase: Failed}")
			o.SetNamespace("default")
			return true, o, nil
		}
		return false, nil, nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if results, passed := r.Await(ctx); passed || results[0].Text != "has failed" {
		t.Errorf("passed %v: %+v", passed, results)
	}
}

// A Job that has failed ends the wait at once, whatever else is on its way.
func TestAwaitEndsWithAFailedJob(t *testing.T) {
	r := newRig(t, pendingPod, failedJob)
	results, passed := r.Await(t.Context())
	if passed || !results[0].Failed || !results[1].Failed || !strings.Contains(results[1].Stopped, "Job once has failed") {
		t.Fatalf("passed %v: %+v", passed, results)
	}
	if !strings.Contains(results[1].Detail, "✗ Job once: has failed") || results[1].Cause == "" {
		t.Errorf("the explanation is %q", results[1].Detail)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	r := newRig(t, pendingPod)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	results, passed := r.Await(ctx)
	if passed || !results[0].Failed || results[0].Stopped != "the time is over" || !strings.Contains(results[0].Detail, "Pod web") {
		t.Errorf("passed %v: %+v", passed, results)
	}
}

// The cause that why names is what ends the wait early.
func TestAwaitAsksWhy(t *testing.T) {
	r := newRig(t, pod+"status: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: no nodes}]}")
	e := &entry{Object: r.Objects[0], finding: waits("is not ready")}
	if r.hopeless(t.Context(), []*entry{e}) != nil {
		t.Error("it is given up the moment it is seen")
	}
	e.why.since = time.Now().Add(-time.Minute)
	if r.hopeless(t.Context(), []*entry{e}) != e {
		t.Errorf("it is not given up: %+v", e.why)
	}
}
