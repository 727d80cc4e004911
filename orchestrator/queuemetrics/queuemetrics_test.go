// The package of the test waits for others, and would come too late to set the provider.

package queuemetrics_test

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	_ "github.com/kube-lite/kube-lite/orchestrator/queuemetrics"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/component-base/metrics/legacyregistry"
	_ "k8s.io/component-base/metrics/prometheus/workqueue"
)

func TestAnIdleQueueHasNoClock(t *testing.T) {
	const name = "idle"
	q := workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[string]{Name: name})
	q.Add("a")
	if item, _ := q.Get(); item != "a" {
		t.Fatalf("got %q", item)
	}
	deadline := time.Now().Add(time.Minute)
	for looking() {
		if time.Now().After(deadline) {
			t.Fatal("the queue goes on looking at itself")
		}
		runtime.Gosched()
	}
	// What the goroutine held is free: the queue works, and ends.
	q.Add("b")
	q.Done("a")
	q.ShutDown()

	got := values(t, name)
	if got["workqueue_adds_total"] != 2 || got["workqueue_depth"] != 1 || got["workqueue_work_duration_seconds"] != 1 {
		t.Errorf("its metrics are %v", got)
	}
}

// looking tells whether a queue looks at its unfinished work.
func looking() bool {
	stacks := make([]byte, 1<<20)
	return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("updateUnfinishedWorkLoop"))
}

// values are the metrics of a queue; those of a histogram are the number of its observations.
func values(t *testing.T, queue string) map[string]float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, family := range families {
		for _, m := range family.Metric {
			if len(m.Label) == 1 && m.Label[0].GetName() == "name" && m.Label[0].GetValue() == queue {
				out[family.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return out
}
