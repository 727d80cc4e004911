package stats

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/apimachinery/pkg/types"
	statsv1alpha1 "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// Register serves a kubelet's figures:
//
//	GET /stats/summary     JSON, see stats.full; ?only_cpu_and_memory=true: see stats.summary
//	GET /metrics/resource  what scales and schedules by use
//	GET /metrics/cadvisor  what dashboards show
//	GET /metrics           the agent's own, and how full claims are: see stats.claims
func (s *Stats) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /stats/summary", s.serveSummary)
	mux.HandleFunc("GET /metrics/resource", s.exposed(s.summary, resourceFamilies))
	mux.HandleFunc("GET /metrics/cadvisor", s.exposed(s.full, cadvisorFamilies))
	mux.HandleFunc("GET /metrics", s.exposed(s.claims, kubeletFamilies))
}

func (s *Stats) serveSummary(w http.ResponseWriter, r *http.Request) {
	ask := s.full
	if only, _ := strconv.ParseBool(r.URL.Query().Get("only_cpu_and_memory")); only {
		ask = s.summary
	}
	summary, err := ask(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(summary) // the client is gone if it fails
}

// families turn a summary into metrics.
type families func(s *Stats, summary *statsv1alpha1.Summary, emit func(prometheus.Metric))

// exposed serves families in Prometheus' text format.
func (s *Stats) exposed(ask func(context.Context) (*statsv1alpha1.Summary, error), f families) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		summary, err := ask(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		registry := prometheus.NewRegistry()
		registry.MustRegister(snapshot(func(emit func(prometheus.Metric)) { f(s, summary, emit) }))
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	}
}

// snapshot is a collector of metrics that are made for one answer.
type snapshot func(emit func(prometheus.Metric))

// Describe implements prometheus.Collector; it promises nothing.
func (snapshot) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s snapshot) Collect(to chan<- prometheus.Metric) { s(func(m prometheus.Metric) { to <- m }) }

// gauge and counter make one value of a family.
func gauge(name, help string, labels []string, value float64, values ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue, value, values...)
}

func counter(name, help string, labels []string, value float64, values ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue, value, values...)
}

// seconds of CPU; figures that could not be read count nothing.
func seconds(c *statsv1alpha1.CPUStats) float64 {
	if c == nil || c.UsageCoreNanoSeconds == nil {
		return 0
	}
	return float64(*c.UsageCoreNanoSeconds) / 1e9
}

func number(n *uint64) float64 {
	if n == nil {
		return 0
	}
	return float64(*n)
}

// resourceFamilies are a kubelet's /metrics/resource.
func resourceFamilies(_ *Stats, s *statsv1alpha1.Summary, emit func(prometheus.Metric)) {
	emit(counter("node_cpu_usage_seconds_total", "Cumulative cpu time consumed by the node in core-seconds", nil, seconds(s.Node.CPU)))
	emit(gauge("node_memory_working_set_bytes", "Current working set of the node in bytes", nil, number(s.Node.Memory.WorkingSetBytes)))
	pods, containers := []string{"namespace", "pod"}, []string{"container", "namespace", "pod"}
	for _, p := range s.Pods {
		var cpu, memory float64
		for _, c := range p.Containers {
			cpu += seconds(c.CPU)
			emit(counter("container_cpu_usage_seconds_total", "Cumulative cpu time consumed by the container in core-seconds",
				containers, seconds(c.CPU), c.Name, p.PodRef.Namespace, p.PodRef.Name))
			if c.Memory != nil {
				memory += number(c.Memory.WorkingSetBytes)
				emit(gauge("container_memory_working_set_bytes", "Current working set of the container in bytes",
					containers, number(c.Memory.WorkingSetBytes), c.Name, p.PodRef.Namespace, p.PodRef.Name))
			}
			emit(gauge("container_start_time_seconds", "Start time of the container since unix epoch in seconds",
				containers, float64(c.StartTime.Unix()), c.Name, p.PodRef.Namespace, p.PodRef.Name))
		}
		emit(counter("pod_cpu_usage_seconds_total", "Cumulative cpu time consumed by the pod in core-seconds",
			pods, cpu, p.PodRef.Namespace, p.PodRef.Name))
		emit(gauge("pod_memory_working_set_bytes", "Current working set of the pod in bytes", pods, memory, p.PodRef.Namespace, p.PodRef.Name))
	}
}

// cadvisorFamilies are those of cAdvisor that dashboards use.
func cadvisorFamilies(from *Stats, s *statsv1alpha1.Summary, emit func(prometheus.Metric)) {
	labels, podLabels := []string{"container", "id", "image", "name", "namespace", "pod"}, []string{"interface", "namespace", "pod"}
	device := deviceOf(from.config.DockerRoot())
	emit(gauge("machine_cpu_cores", "Number of logical CPU cores.", nil, float64(from.config.CPUs)))
	emit(gauge("machine_memory_bytes", "Amount of memory installed on the machine.", nil, float64(from.config.Memory)))
	for _, p := range s.Pods {
		for _, c := range p.Containers {
			i, ok := from.instance(types.UID(p.PodRef.UID), c.Name)
			if !ok {
				continue
			}
			values := []string{c.Name, "/docker/" + i.ID, i.Image, i.Name, p.PodRef.Namespace, p.PodRef.Name}
			emit(counter("container_cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", labels, seconds(c.CPU), values...))
			if m := c.Memory; m != nil {
				emit(gauge("container_memory_usage_bytes", "Current memory usage in bytes.", labels, number(m.UsageBytes), values...))
				emit(gauge("container_memory_working_set_bytes", "Current working set in bytes.", labels, number(m.WorkingSetBytes), values...))
				emit(gauge("container_memory_rss", "Size of RSS in bytes.", labels, number(m.RSSBytes), values...))
			}
			emitDisk(c, append([]string{"device"}, labels...), append([]string{device}, values...), emit)
			emit(gauge("container_spec_memory_limit_bytes", "Memory limit for the container.", labels, float64(i.Resources.Memory), values...))
			emit(gauge("container_spec_cpu_shares", "CPU share of the container.", labels, float64(i.Resources.CPUShares), values...))
			emit(gauge("container_start_time_seconds", "Start time of the container since unix epoch in seconds.",
				labels, float64(c.StartTime.Unix()), values...))
		}
		if p.Network == nil {
			continue
		}
		for _, d := range p.Network.Interfaces {
			emit(counter("container_network_receive_bytes_total", "Cumulative count of bytes received",
				podLabels, number(d.RxBytes), d.Name, p.PodRef.Namespace, p.PodRef.Name))
			emit(counter("container_network_transmit_bytes_total", "Cumulative count of bytes transmitted",
				podLabels, number(d.TxBytes), d.Name, p.PodRef.Namespace, p.PodRef.Name))
		}
	}
}

// emitDisk tells what a container wrote over its image, and its log, on the filesystem of
// images; nothing if it was not measured in time.
func emitDisk(c statsv1alpha1.ContainerStats, labels, values []string, emit func(prometheus.Metric)) {
	if c.Rootfs == nil {
		return
	}
	used := number(c.Rootfs.UsedBytes)
	if c.Logs != nil {
		used += number(c.Logs.UsedBytes)
	}
	emit(gauge("container_fs_usage_bytes", "Number of bytes that are consumed by the container on this filesystem.", labels, used, values...))
	emit(gauge("container_fs_limit_bytes", "Number of bytes that can be consumed by the container on this filesystem.",
		labels, number(c.Rootfs.CapacityBytes), values...))
}

// kubeletFamilies are the agent's own.
func kubeletFamilies(from *Stats, s *statsv1alpha1.Summary, emit func(prometheus.Metric)) {
	count := 0
	for _, p := range s.Pods {
		count += len(p.Containers)
	}
	emit(gauge("kubelet_node_name", "The node's name. The count is always 1.", []string{"node"}, 1, from.config.NodeName))
	emit(gauge("kubelet_running_pods", "Number of pods that have a running pod sandbox", nil, float64(len(s.Pods))))
	emit(gauge("kubelet_running_containers", "Number of containers currently running", []string{"container_state"}, float64(count), "running"))
	emitClaims(s, emit)
}

// instance is the latest of a Pod's container.
func (s *Stats) instance(pod types.UID, container string) (latest pods.Instance, ok bool) {
	for _, i := range s.config.Instances(pod) {
		if i.ContainerName == container {
			latest, ok = i, true
		}
	}
	return latest, ok
}
