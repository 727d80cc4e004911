// Package queuemetrics counts what work queues do without a clock of their own. Upstream's provider has each queue look
// twice a second at how long its work has been going on, also when there is none; of an idle daemon's wakes that is the
// greater part. Here the other metrics are kept (workqueue_depth, adds_total, queue_duration_seconds,
// work_duration_seconds and retries_total), and that look is ended.
//
// Use: import it, wherever queues are made; it depends on nothing of Kubernetes that makes one.
package queuemetrics

import (
	"errors"
	"runtime"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// The first provider stays, and upstream's package sets its own when it is initialised. Go initialises packages that wait
// for nothing in the order of their import paths, so this one comes before k8s.io/component-base/metrics/prometheus/workqueue,
// which waits for the same packages.
// https://go.dev/ref/spec#Program_initialization
func init() { workqueue.SetProvider(provider{}) }

// provider hands each queue, by its name, its part of upstream's metrics.
type provider struct{}

func (provider) NewDepthMetric(name string) workqueue.GaugeMetric {
	return vectors().depth.WithLabelValues(name)
}

func (provider) NewAddsMetric(name string) workqueue.CounterMetric {
	return vectors().adds.WithLabelValues(name)
}

func (provider) NewLatencyMetric(name string) workqueue.HistogramMetric {
	return vectors().latency.WithLabelValues(name)
}

func (provider) NewWorkDurationMetric(name string) workqueue.HistogramMetric {
	return vectors().work.WithLabelValues(name)
}

func (provider) NewRetriesMetric(name string) workqueue.CounterMetric {
	return vectors().retries.WithLabelValues(name)
}

func (provider) NewUnfinishedWorkSecondsMetric(string) workqueue.SettableGaugeMetric {
	return lastLook{}
}

func (provider) NewLongestRunningProcessorSecondsMetric(string) workqueue.SettableGaugeMetric {
	return lastLook{}
}

// lastLook is a gauge that only the goroutine sets which looks at a queue. It ends that goroutine, whose deferred calls
// unlock the queue and tell that it has ended.
type lastLook struct{}

func (lastLook) Set(float64) { runtime.Goexit() }

// queues are the metrics of all queues, each with the label name.
type queues struct {
	depth         *metrics.GaugeVec
	adds, retries *metrics.CounterVec
	latency, work *metrics.HistogramVec
}

// vectors are upstream's, where they are registered; a collector is found by its name, help and labels.
var vectors = sync.OnceValue(func() queues {
	name := []string{"name"}
	counter := func(key, help string) *metrics.CounterVec {
		return registered(metrics.NewCounterVec(&metrics.CounterOpts{Subsystem: "workqueue", Name: key, Help: help, StabilityLevel: metrics.BETA}, name))
	}
	histogram := func(key, help string) *metrics.HistogramVec {
		return registered(metrics.NewHistogramVec(&metrics.HistogramOpts{
			Subsystem: "workqueue", Name: key, Help: help, StabilityLevel: metrics.BETA, Buckets: metrics.ExponentialBuckets(10e-9, 10, 10),
		}, name))
	}
	return queues{
		depth: registered(metrics.NewGaugeVec(&metrics.GaugeOpts{
			Subsystem: "workqueue", Name: "depth", Help: "Current depth of workqueue", StabilityLevel: metrics.BETA,
		}, name)),
		adds:    counter("adds_total", "Total number of adds handled by workqueue"),
		retries: counter("retries_total", "Total number of retries handled by workqueue"),
		latency: histogram("queue_duration_seconds", "How long in seconds an item stays in workqueue before being requested."),
		work:    histogram("work_duration_seconds", "How long in seconds processing an item from workqueue takes."),
	}
})

// registered is the collector that has c's name in the registry of all components: the one that was there, or c.
func registered[C metrics.Registerable](c C) C {
	err := legacyregistry.Register(c)
	if known := new(prometheus.AlreadyRegisteredError); errors.As(err, known) {
		return known.ExistingCollector.(C)
	}
	if err != nil {
		panic(err) // upstream describes its metric in other words now, and so it is not this one
	}
	return c
}
