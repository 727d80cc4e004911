package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/kube-lite/kube-lite/netproxy"
)

// figure is one line of the budgets table.
type figure struct {
	Name string // for -only
	What string
	// Unit of Budget and of the samples; "×" for ratios.
	Unit   string
	Budget float64
	// AtLeast is set where more is better.
	AtLeast bool
	// measure takes samples. The note says what the samples alone don't.
	measure func(ctx context.Context, b *bench) (samples []float64, note string, err error)
}

// figures are all of them, in the order of the design's budgets.
func figures() []figure {
	return append([]figure{
		{Name: "start", What: "start to API ready and node Ready, from nothing", Unit: "s", Budget: 0.7, measure: measureStart},
		{Name: "pods", What: "apply to all Ready, 10 pods × 2 containers, to Docker alone", Unit: "×", Budget: 1.15, measure: measurePods},
		{Name: "rich", What: "the same with init containers, ConfigMap volumes and probes in the pods", Unit: "×", Budget: 1.15, measure: measureRichPods},
		{Name: "delete", What: "60 deleted pods of one container gone, to Docker removing the containers", Unit: "×", Budget: 1.3, measure: measureDelete},
		{Name: "memory", What: "daemon's private memory, idle with the quick-start app", Unit: "MB", Budget: 80, measure: measureMemory},
		{Name: "cpu", What: "daemon's CPU, idle with 10 pods, of one core", Unit: "%", Budget: 0.4, measure: measureCPU},
		{Name: "nodememory", What: "daemon's private memory for a second node", Unit: "MB", Budget: 5, measure: measureNodeMemory},
		{Name: "nodecpu", What: "daemon's CPU for a second node, of one core", Unit: "%", Budget: 0.05, measure: measureNodeCPU},
		{Name: "probes", What: "daemon's CPU, 100 pods with an HTTP probe each second, of one core", Unit: "%", Budget: 20, measure: measureProbes},
		{Name: "volumes", What: "a change of a ConfigMap, a Secret or a pod to the files of a running container", Unit: "ms", Budget: 2000, measure: measureVolumes},
		{Name: "services", What: "a Service change to the kernel, 1,000 Services present", Unit: "ms", Budget: 50, measure: measureServices},
		{Name: "flush", What: "a Service answers again after its nftables rules were flushed, 1,000 Services present", Unit: "ms", Budget: 10_000, measure: measureFlush(netproxy.ModeNFTables)},
		{Name: "flushiptables", What: "the same with iptables", Unit: "ms", Budget: 10_000, measure: measureFlush(netproxy.ModeIPTables)},
		{Name: "dns", What: "DNS answers for a Service name, to CoreDNS", Unit: "×", Budget: 1, AtLeast: true, measure: measureDNS},
		{Name: "ingress", What: "HTTP requests through an Ingress for a core, to nginx", Unit: "×", Budget: 0.7, AtLeast: true, measure: measureIngress},
		{Name: "crowd", What: "a Deployment of 1,000 pods to all Ready, on a Docker that only pretends", Unit: "s", Budget: 10, measure: measureCrowd},
		{Name: "crowds", What: "5 Deployments of 200 pods, likewise", Unit: "s", Budget: 10, measure: measureCrowds},
		{Name: "crowdchange", What: "processor time of a changed pod with 5,000 pods present, to 100 pods", Unit: "×", Budget: 1.5, measure: measureCrowdChange},
		{Name: "crowdmemory", What: "daemon's memory for each pod, beyond the objects", Unit: "KB", Budget: 40, measure: measureCrowdMemory},
		{Name: "firstkind", What: "an instance's first CustomResourceDefinition to the first object of its kind", Unit: "ms", Budget: 300, measure: measureFirstKind},
		{Name: "kind", What: "a CustomResourceDefinition to the first object of its kind", Unit: "ms", Budget: 300, measure: measureKindReady},
		{Name: "page", What: "the longest frame of the dashboard's map, 1,000 pods of which 20 change each second", Unit: "ms", Budget: 100, measure: measurePage},
		{Name: "kinds", What: "daemon's private memory for a thousand kinds", Unit: "MB", Budget: 700, measure: measureKinds},
	}, append(apiFigures(), proxyFigures()...)...)
}

// result is a figure with what was measured. Without samples it was skipped or failed, and the note says why.
type result struct {
	Name    string    `json:"name"`
	What    string    `json:"what"`
	Unit    string    `json:"unit"`
	Budget  float64   `json:"budget"`
	AtLeast bool      `json:"atLeast"`
	Median  float64   `json:"median"`
	Min     float64   `json:"min"`
	Max     float64   `json:"max"`
	Samples []float64 `json:"samples"`
	Verdict string    `json:"verdict"`
	Note    string    `json:"note,omitempty"`
}

func (f figure) result(samples []float64, note string) result {
	r := result{Name: f.Name, What: f.What, Unit: f.Unit, Budget: f.Budget, AtLeast: f.AtLeast, Samples: samples, Note: note}
	if len(samples) == 0 {
		r.Verdict = "not measured"
		return r
	}
	r.Median, r.Min, r.Max = median(samples), slices.Min(samples), slices.Max(samples)
	r.Verdict = f.verdict(r.Median)
	return r
}

// verdict says whether a median meets the budget, and by how much it misses it.
func (f figure) verdict(median float64) string {
	over := median/f.Budget - 1
	if f.AtLeast {
		over = 1 - median/f.Budget
	}
	if over <= 0 {
		return "met"
	}
	return fmt.Sprintf("missed by %.1f %%", 100*over)
}

// median of an even number of samples is the mean of the middle two.
func median(samples []float64) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// ratios divides pair by pair.
func ratios(of, to []float64) []float64 {
	out := make([]float64, len(of))
	for i := range of {
		out[i] = of[i] / to[i]
	}
	return out
}
