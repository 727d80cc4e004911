package apiserver

import (
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	statsv1alpha1 "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
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
	client := serve(t, t.TempDir()).admin(t)
	resources, err := client.Discovery().ServerResourcesForGroupVersion("metrics.k8s.io/v1beta1")
	if err != nil || len(resources.APIResources) != 2 || resources.APIResources[1].Kind != "PodMetrics" {
		t.Errorf("%+v, %v", resources, err)
	}
	if _, err := client.Discovery().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1/pods").DoRaw(t.Context()); err != nil {
		t.Errorf("list of a node without Pods: %v", err)
	}
}

// silence is a connection that cannot be had.
type silence struct{}

func (silence) RoundTrip(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }

func TestMetricsSayWhenTheNodeAgentIsAway(t *testing.T) {
	figures := &nodeFigures{client: http.Client{Transport: silence{}}}
	if _, err := figures.summary(t.Context()); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("got %v", err)
	}
}
