package apiserver

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	statsv1alpha1 "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	"k8s.io/metrics/pkg/apis/metrics"
)

// figuresOf is a container that uses so much.
func figuresOf(name string, nanocores, bytes uint64) statsv1alpha1.ContainerStats {
	return statsv1alpha1.ContainerStats{
		Name: name, CPU: &statsv1alpha1.CPUStats{UsageNanoCores: &nanocores}, Memory: &statsv1alpha1.MemoryStats{WorkingSetBytes: &bytes},
	}
}

func TestPodMetricsAreThoseOfThePodsThatAreMeant(t *testing.T) {
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	summary := &statsv1alpha1.Summary{}
	for _, p := range []struct{ namespace, name, app string }{
		{"shop", "web", "web"}, {"shop", "db", "db"}, {"other", "web", "web"},
	} {
		if err := indexer.Add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: p.name, UID: "uid-", Labels: map[string]string{"app": p.app}}}); err != nil {
			t.Fatal(err)
		}
		summary.Pods = append(summary.Pods, statsv1alpha1.PodStats{
			PodRef:     statsv1alpha1.PodReference{Namespace: p.namespace, Name: p.name, UID: "uid-"},
			Containers: []statsv1alpha1.ContainerStats{figuresOf("c", 250_000_000, 64<<20)},
		})
	}
	// One is of a Pod that had the name before, one has a container without figures yet.
	summary.Pods = append(summary.Pods,
		statsv1alpha1.PodStats{PodRef: statsv1alpha1.PodReference{Namespace: "shop", Name: "web", UID: "earlier"}, Containers: []statsv1alpha1.ContainerStats{figuresOf("c", 1, 1)}},
		statsv1alpha1.PodStats{PodRef: statsv1alpha1.PodReference{Namespace: "shop", Name: "db", UID: "uid-"}, Containers: []statsv1alpha1.ContainerStats{{Name: "new"}}})
	lister := v1.NewPodLister(indexer)
	selector, err := labels.Parse("app=web")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		namespace string
		selector  labels.Selector
		want      string
	}{
		{"", labels.Everything(), "shop/web shop/db other/web"},
		{"shop", labels.Everything(), "shop/web shop/db"},
		{"shop", selector, "shop/web"},
		{"nowhere", labels.Everything(), ""},
	} {
		var got []string
		for _, m := range podsOf(summary, lister, test.namespace, test.selector) {
			got = append(got, m.Namespace+"/"+m.Name)
			if cpu, memory := m.Containers[0].Usage.Cpu().MilliValue(), m.Containers[0].Usage.Memory().Value(); cpu != 250 || memory != 64<<20 {
				t.Errorf("%s uses %d m and %d bytes", m.Name, cpu, memory)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("in %q by %s: got %q, want %s", test.namespace, test.selector, got, test.want)
		}
	}
}

func TestMetricsAreServedLikeAnyOtherGroup(t *testing.T) {
	t.Parallel()
	client := serve(t, t.TempDir()).admin(t)
	resources, err := client.Discovery().ServerResourcesForGroupVersion("metrics.k8s.io/v1beta1")
	if err != nil || len(resources.APIResources) != 2 || resources.APIResources[1].Kind != "PodMetrics" {
		t.Errorf("%+v, %v", resources, err)
	}
	if _, err := client.Discovery().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1/pods").DoRaw(t.Context()); err != nil {
		t.Errorf("list of a node without Pods: %v", err)
	}
}

func TestMetricsArePrintedAsATable(t *testing.T) {
	used := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	window := metav1.Duration{Duration: time.Second}
	for want, object := range map[string]runtime.Object{
		"[[web 300m 3Mi 1s]]": &metrics.PodMetricsList{Items: []metrics.PodMetrics{{
			ObjectMeta: metav1.ObjectMeta{Name: "web"}, Window: window,
			Containers: []metrics.ContainerMetrics{{Usage: used("100m", "1Mi")}, {Usage: used("200m", "2Mi")}},
		}}},
		"[[vm 2 1Gi 1s]]": &metrics.NodeMetrics{ObjectMeta: metav1.ObjectMeta{Name: "vm"}, Window: window, Usage: used("2", "1Gi")},
		"[]":              &metrics.PodMetricsList{},
	} {
		table, err := usageTable{}.ConvertToTable(t.Context(), object, nil)
		if err != nil {
			t.Fatal(err)
		}
		rows := [][]any{}
		for _, row := range table.Rows {
			rows = append(rows, row.Cells)
		}
		if got := fmt.Sprint(rows); got != want || len(table.ColumnDefinitions) != 4 {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// nodesOfTest are nodes of which those in answers have an agent, which serves that.
func nodesOfTest(t *testing.T, names []string, answers map[string]string) nodeConnection {
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, name := range names {
		if err := indexer.Add(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	listeners := map[string]*MemoryListener{}
	for name, text := range answers {
		listener := NewMemoryListener()
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })}
		done := make(chan error, 1)
		go func() { done <- server.Serve(listener) }()
		t.Cleanup(func() { server.Close(); <-done })
		listeners[name] = listener
	}
	dial := func(ctx context.Context, node string) (net.Conn, error) {
		if l := listeners[node]; l != nil {
			return l.Dial(ctx)
		}
		return nil, io.ErrUnexpectedEOF
	}
	return nodeConnection{transports: &nodeTransports{dial: dial}, nodes: v1.NewNodeLister(indexer)}
}

func TestMetricsAreThoseOfTheNodesThatAnswer(t *testing.T) {
	for _, test := range []struct {
		name    string
		nodes   []string
		answers map[string]string
		want    string
	}{
		{"all", []string{"a", "b"}, map[string]string{"a": `{"node":{"nodeName":"a"}}`, "b": `{"node":{"nodeName":"b"}}`}, "a b"},
		{"one is silent", []string{"a", "b"}, map[string]string{"b": `{"node":{"nodeName":"b"}}`}, "b"},
		{"none is registered", nil, nil, ""},
		{"all are silent", []string{"a", "b"}, nil, "unavailable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			figures := &nodeFigures{nodes: nodesOfTest(t, test.nodes, test.answers)}
			found, err := figures.summaries(t.Context())
			var names []string
			for _, s := range found {
				names = append(names, s.Node.NodeName)
			}
			slices.Sort(names)
			if apierrors.IsServiceUnavailable(err) {
				names = append(names, "unavailable")
			} else if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(names, " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestConnectionsLeadToTheNodeThatIsMeant(t *testing.T) {
	nodes := nodesOfTest(t, []string{"a", "b"}, map[string]string{"a": "I am a", "b": "I am b"})
	for _, name := range []types.NodeName{"b", "a", "b"} {
		info, err := nodes.GetConnectionInfo(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := (&http.Client{Transport: info.Transport}).Get("http://node/")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || string(text) != "I am "+string(name) {
			t.Errorf("%s answers %q, %v", name, text, err)
		}
	}
	if _, err := nodes.GetConnectionInfo(t.Context(), "c"); !apierrors.IsNotFound(err) {
		t.Errorf("a node that is not there: %v", err)
	}
}
