package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	corelisters "k8s.io/client-go/listers/core/v1"
	statsv1alpha1 "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/metrics/pkg/apis/metrics"
	metricsinstall "k8s.io/metrics/pkg/apis/metrics/install"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

const (
	// metricsWindow is the time over which the node agent's figures of CPU are rates.
	metricsWindow = time.Second
	// metricsLimit bounds the question to the node agent, who takes that long and a bit.
	metricsLimit = 10 * time.Second
)

// The scheme knows the group from the beginning: like the groups' install packages
// do when they are imported, which this one leaves to its user.
func init() { metricsinstall.Install(legacyscheme.Scheme) }

// metricsGroup serves what nodes and Pods use at the moment, for `kubectl top` and
// autoscalers. Elsewhere that is metrics-server's part; here the nodes are in the same process.
// https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/
func (s *Server) metricsGroup() *genericapiserver.APIGroupInfo {
	group := genericapiserver.NewDefaultAPIGroupInfo(metrics.GroupName, legacyscheme.Scheme, metav1.ParameterCodec, legacyscheme.Codecs)
	figures, core := &nodeFigures{nodes: s.nodeConnection()}, s.shared.Core().V1()
	group.VersionedResourcesStorageMap[metricsv1beta1.SchemeGroupVersion.Version] = map[string]rest.Storage{
		"nodes": newNodeMetrics(figures, core.Nodes().Lister()),
		"pods":  newPodMetrics(figures, core.Pods().Lister()),
	}
	return &group
}

// nodeFigures asks the agents of nodes.
type nodeFigures struct{ nodes nodeConnection }

// summaries are those of all nodes that answer. One that is silent has no figures, as with metrics-server; the error is that
// of the last one when none answers.
func (f *nodeFigures) summaries(ctx context.Context) ([]*statsv1alpha1.Summary, error) {
	nodes, err := f.nodes.nodes.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	answers, errs := make([]*statsv1alpha1.Summary, len(nodes)), make([]error, len(nodes))
	var asked sync.WaitGroup
	for i, node := range nodes {
		asked.Go(func() { answers[i], errs[i] = f.summary(ctx, node.Name) })
	}
	asked.Wait()
	answers = slices.DeleteFunc(answers, func(s *statsv1alpha1.Summary) bool { return s == nil })
	if len(answers) > 0 || len(nodes) == 0 {
		return answers, nil
	}
	return nil, errs[len(errs)-1]
}

func (f *nodeFigures) summary(ctx context.Context, node string) (*statsv1alpha1.Summary, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://node/stats/summary?only_cpu_and_memory=true", nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: f.nodes.transports.of(node), Timeout: metricsLimit}
	answer, err := client.Do(request)
	if err != nil {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("the node agent does not tell its figures: %v", err))
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, apierrors.NewServiceUnavailable("the node agent does not tell its figures: " + answer.Status)
	}
	var out statsv1alpha1.Summary
	if err := json.NewDecoder(answer.Body).Decode(&out); err != nil {
		return nil, fmt.Errorf("read the node agent's figures: %w", err)
	}
	return &out, nil
}

// used is a use of CPU and memory; ok is false if one is not known yet.
func used(cpu *statsv1alpha1.CPUStats, memory *statsv1alpha1.MemoryStats) (list corev1.ResourceList, at metav1.Time, ok bool) {
	if cpu == nil || cpu.UsageNanoCores == nil || memory == nil || memory.WorkingSetBytes == nil {
		return nil, at, false
	}
	return corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewScaledQuantity(int64(*cpu.UsageNanoCores), resource.Nano),
		corev1.ResourceMemory: *resource.NewQuantity(int64(*memory.WorkingSetBytes), resource.BinarySI),
	}, cpu.Time, true
}

// nodesOf are the NodeMetrics of those that selector matches.
func nodesOf(s *statsv1alpha1.Summary, lister corelisters.NodeLister, selector labels.Selector) (out []metrics.NodeMetrics) {
	list, at, ok := used(s.Node.CPU, s.Node.Memory)
	node, err := lister.Get(s.Node.NodeName)
	if !ok || err != nil || !selector.Matches(labels.Set(node.Labels)) {
		return nil
	}
	return []metrics.NodeMetrics{{
		ObjectMeta: metav1.ObjectMeta{Name: node.Name, Labels: node.Labels, CreationTimestamp: metav1.Now()},
		Timestamp:  at, Window: metav1.Duration{Duration: metricsWindow}, Usage: list,
	}}
}

// podsOf are the PodMetrics of a namespace, or of all if it is empty. As with
// metrics-server a Pod counts when all its containers have figures.
func podsOf(s *statsv1alpha1.Summary, lister corelisters.PodLister, namespace string, selector labels.Selector) (out []metrics.PodMetrics) {
	for _, p := range s.Pods {
		pod, err := lister.Pods(p.PodRef.Namespace).Get(p.PodRef.Name)
		if namespace != "" && p.PodRef.Namespace != namespace || err != nil || string(pod.UID) != p.PodRef.UID || !selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		m := metrics.PodMetrics{
			ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, Labels: pod.Labels, CreationTimestamp: metav1.Now()},
			Window:     metav1.Duration{Duration: metricsWindow},
		}
		for _, c := range p.Containers {
			list, at, ok := used(c.CPU, c.Memory)
			if !ok {
				break
			}
			m.Timestamp = at
			m.Containers = append(m.Containers, metrics.ContainerMetrics{Name: c.Name, Usage: list})
		}
		if len(m.Containers) == len(p.Containers) && len(p.Containers) > 0 {
			out = append(out, m)
		}
	}
	return out
}
