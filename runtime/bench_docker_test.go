package runtime

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
)

// benchPods and benchContainers are the budget's: 10 Pods of 2 containers.
const (
	benchPods       = 10
	benchContainers = 2
)

// benchLabel is on containers that no agent owns.
const benchLabel = "io.kube-lite.bench"

// BenchmarkPodStart compares the time until 10 Pods are Ready with the time that the
// same containers take through the Docker API alone, everything at once. The agent's may
// be 1.15 of it. Run it with -benchtime=5x; rounds alternate, so that both see the same
// machine.
func BenchmarkPodStart(b *testing.B) {
	r := newDockerRig(b)
	var ours, raw time.Duration
	for n := range b.N {
		raw += r.rawRound(n)
		ours += r.agentRound(n)
	}
	b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "agent-ms/op")
	b.ReportMetric(float64(raw.Milliseconds())/float64(b.N), "raw-ms/op")
	b.ReportMetric(float64(ours)/float64(raw), "ratio")
}

// agentRound returns the time until all Pods are Ready.
func (r *dockerRig) agentRound(round int) time.Duration {
	var names []string
	began := time.Now()
	for p := range benchPods {
		var containers []v1.Container
		for c := range benchContainers {
			containers = append(containers, r.container(fmt.Sprintf("c%d", c), "sleep"))
		}
		names = append(names, fmt.Sprintf("pod-%d-%d", round, p))
		r.create(names[p], containers...)
	}
	for _, name := range names {
		r.await(name, "ready", ready)
	}
	took := time.Since(began)
	for _, name := range names {
		r.markDeleted(name)
	}
	for _, name := range names {
		r.await(name, "gone", gone)
	}
	return took
}

// rawRound creates and starts the same containers with nothing around them.
func (r *dockerRig) rawRound(round int) time.Duration {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var ids []string
	run := func(spec docker.ContainerSpec) string {
		id, err := r.engine.Create(r.t.Context(), spec)
		if err == nil {
			err = r.engine.Start(r.t.Context(), id)
		}
		if err != nil {
			r.t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		ids = append(ids, id)
		return id
	}
	labels := map[string]string{benchLabel: r.opts.Instance}
	began := time.Now()
	for p := range benchPods {
		wg.Go(func() {
			name := fmt.Sprintf("%s-raw-%d-%d", r.opts.Instance, round, p)
			pod := run(docker.ContainerSpec{Name: name, Image: r.image, Cmd: []string{"sleep"}, Labels: labels, Network: r.opts.Network.Name, IPC: "shareable"})
			for c := range benchContainers {
				wg.Go(func() {
					run(docker.ContainerSpec{
						Name: fmt.Sprintf("%s-%d", name, c), Image: r.image, Cmd: []string{"sleep"}, Labels: labels,
						Network: "container:" + pod, IPC: "container:" + pod,
					})
				})
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	for _, id := range ids {
		wg.Go(func() {
			if err := r.engine.Remove(r.t.Context(), id); err != nil {
				r.t.Error(err)
			}
		})
	}
	wg.Wait()
	return took
}
