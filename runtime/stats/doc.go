// Package stats tells what the node, its Pods and their containers use, as a kubelet does: the summary that `kubectl top`
// and autoscalers read, and metrics in Prometheus' format.
//
// Nothing is sampled while nobody asks. CPU is a rate over SampleWindow, for which the first to ask waits; an answer
// serves all who ask within SampleFresh. Disk space is measured in the background, one directory after the other, and no
// answer waits long for it: what is not known in time has no figure.
//
//	s := stats.New(stats.Config{NodeName: "laptop", Pods: own, Instances: mirror.Pod, ...})
//	s.Register(mux) // GET /stats/summary, /metrics, /metrics/resource, /metrics/cadvisor
//
// A Stats knows which Pods and containers there are by the functions in its Config, and reads the kernel's figures through
// package usage. It changes nothing and remembers nothing but figures.
package stats
