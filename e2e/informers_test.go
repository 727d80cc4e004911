package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	// churnTime is long enough for a dozen restarts; the test runs beside others meanwhile.
	churnTime = time.Minute
	// restartEvery leaves an informer the time to wait out its backoff after most restarts, and not after all.
	restartEvery = 5 * time.Second
	// churnPause is how long each writer rests after a write, so that the tests beside this one are not slowed down.
	churnPause = 10 * time.Millisecond
)

const churnNamespace = "default"

var (
	churnMaps    = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	churnWidgets = schema.GroupVersionResource{Group: "churn.example.com", Version: "v1", Resource: "widgets"}
)

const widgetDefinition = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.churn.example.com}
spec:
  group: churn.example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {data: {type: object, additionalProperties: {type: string}}}}}
`

// Informers of each kind hold exactly what the server has after a minute of writes during which the daemon was killed and
// stopped again and again.
func TestInformersAfterChurnAndRestarts(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	namespace{churnNamespace, i}.apply(t, widgetDefinition)
	namespace{churnNamespace, i}.must(t, "wait", "--for=condition=Established", "crd/widgets.churn.example.com")
	config := i.config(t)
	streams := &streamCount{}
	config.Wrap(streams.wrap)
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	caches := startInformers(t, config)
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	defer func() { cancel(); writers.Wait() }()
	written := map[string]*atomic.Int64{}
	for _, w := range []churner{
		{client.Resource(churnMaps), "v1", "ConfigMap", "first"}, {client.Resource(churnMaps), "v1", "ConfigMap", "second"},
		{client.Resource(churnWidgets), "churn.example.com/v1", "Widget", "third"},
	} {
		count := &atomic.Int64{}
		written[w.writer] = count
		writers.Go(func() { w.run(ctx, count) })
	}
	i.restartFor(t, churnTime)
	atLastStart := map[string]int64{}
	for writer, count := range written {
		atLastStart[writer] = count.Load()
	}
	eventually(t, func() error {
		for writer, count := range written {
			if count.Load() == atLastStart[writer] {
				return fmt.Errorf("the %s writer wrote nothing since the last start", writer)
			}
		}
		return nil
	})
	cancel()
	writers.Wait()
	for what, c := range caches {
		eventually(t, func() error { return sameVersions(t.Context(), client.Resource(c.of), c.store) })
		t.Logf("%s: %d objects, %d streamed lists", what, len(c.store.List()), streams.of(c.of.Resource))
	}
	for _, resource := range []string{"configmaps", "widgets"} {
		if streams.of(resource) == 0 {
			t.Errorf("no list of %s was streamed", resource)
		}
	}
}

// restartFor kills the daemon and stops it in turns, and starts it again.
func (i *instance) restartFor(t *testing.T, length time.Duration) {
	t.Helper()
	tick := time.NewTicker(restartEvery)
	defer tick.Stop()
	killed := false
	for end := time.Now().Add(length); time.Now().Before(end); <-tick.C {
		if killed = !killed; killed {
			i.kill(t)
		} else if err := i.do("stop"); err != nil {
			t.Fatal(err)
		}
		if err := i.up(); err != nil {
			t.Fatal(err)
		}
	}
}

// churner changes objects of one kind at random.
type churner struct {
	client                   dynamic.NamespaceableResourceInterface
	apiVersion, kind, writer string
}

// run writes until ctx ends, and counts what the server took.
func (c churner) run(ctx context.Context, count *atomic.Int64) {
	for n := 0; ctx.Err() == nil; n++ {
		if c.write(ctx, n) == nil {
			count.Add(1)
		}
		time.Sleep(churnPause)
	}
}

func (c churner) write(ctx context.Context, n int) error {
	name, client := fmt.Sprintf("%s-%d", c.writer, rand.IntN(100)), c.client.Namespace(churnNamespace)
	data := map[string]any{"value": fmt.Sprint(n)}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": c.apiVersion, "kind": c.kind, "metadata": map[string]any{"name": name}, "data": data,
	}}
	var err error
	switch rand.IntN(5) {
	case 0:
		err = client.Delete(ctx, name, metav1.DeleteOptions{})
	case 1:
		_, err = client.Patch(ctx, name, types.MergePatchType, fmt.Appendf(nil, `{"data":{"patched":"%d"}}`, n), metav1.PatchOptions{})
	case 2:
		_, err = client.Apply(ctx, name, object, metav1.ApplyOptions{FieldManager: "churn", Force: true})
	default:
		_, err = client.Create(ctx, object, metav1.CreateOptions{})
	}
	return err
}

// churnCache is what an informer believes.
type churnCache struct {
	store cache.Store
	of    schema.GroupVersionResource
}

// startInformers starts one informer of each kind, which end with the test.
func startInformers(t *testing.T, config *rest.Config) map[string]churnCache {
	t.Helper()
	protobuf := rest.CopyConfig(config)
	protobuf.ContentType, protobuf.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+",application/json"
	typed, err := kubernetes.NewForConfig(protobuf)
	if err != nil {
		t.Fatal(err)
	}
	metadataOnly, err := metadata.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	custom, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]cache.SharedInformer{
		"typed":           informers.NewSharedInformerFactory(typed, 0).Core().V1().ConfigMaps().Informer(),
		"metadata-only":   metadatainformer.NewSharedInformerFactory(metadataOnly, 0).ForResource(churnMaps).Informer(),
		"table":           cache.NewSharedInformer(notStreamed{tableListWatch(t, config)}, &metav1.PartialObjectMetadata{}, 0),
		"custom resource": dynamicinformer.NewDynamicSharedInformerFactory(custom, 0).ForResource(churnWidgets).Informer(),
	}
	caches := map[string]churnCache{}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	for what, informer := range all {
		caches[what] = churnCache{informer.GetStore(), churnMaps}
		running.Go(func() { informer.RunWithContext(ctx) })
	}
	caches["custom resource"] = churnCache{all["custom resource"].GetStore(), churnWidgets}
	return caches
}

// notStreamed says that its lists are not streamed: bookmarks of tables have no row to tell the object by.
type notStreamed struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported is what client-go asks.
func (notStreamed) IsWatchListSemanticsUnSupported() bool { return true }

// tableListWatch lists and watches ConfigMaps as kubectl get --watch does: rows of a table, each with its object's metadata.
func tableListWatch(t *testing.T, config *rest.Config) *cache.ListWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = "/api", &schema.GroupVersion{Version: "v1"}
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	request := func(options metav1.ListOptions) *rest.Request {
		return client.Get().Resource("configmaps").SpecificallyVersionedParams(&options, metav1.ParameterCodec, *config.GroupVersion).
			SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			table := &metav1.Table{}
			if err := request(options).Do(ctx).Into(table); err != nil {
				return nil, err
			}
			return rowsOf(table)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.Watch, options.AllowWatchBookmarks = true, false
			events, err := request(options).Watch(ctx)
			if err != nil {
				return nil, err
			}
			return watch.Filter(events, func(event watch.Event) (watch.Event, bool) {
				table, ok := event.Object.(*metav1.Table)
				if !ok {
					return event, true // an error's Status
				}
				rows, err := rowsOf(table)
				if err != nil || len(rows.Items) != 1 {
					status := metav1.Status{Status: metav1.StatusFailure, Message: fmt.Sprintf("a table of %d rows: %v", len(table.Rows), err)}
					return watch.Event{Type: watch.Error, Object: &status}, true
				}
				event.Object = &rows.Items[0]
				return event, true
			}), nil
		},
	}
}

func rowsOf(table *metav1.Table) (*metav1.PartialObjectMetadataList, error) {
	list := &metav1.PartialObjectMetadataList{ListMeta: table.ListMeta}
	for _, row := range table.Rows {
		var object metav1.PartialObjectMetadata
		if err := json.Unmarshal(row.Object.Raw, &object); err != nil {
			return nil, err
		}
		list.Items = append(list.Items, object)
	}
	return list, nil
}

// sameVersions compares what an informer believes with what the server has, object by object.
func sameVersions(ctx context.Context, client dynamic.NamespaceableResourceInterface, store cache.Store) error {
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	want, got := map[string]string{}, map[string]string{}
	for _, object := range list.Items {
		want[object.GetNamespace()+"/"+object.GetName()] = object.GetResourceVersion()
	}
	for _, object := range store.List() {
		o, err := meta.Accessor(object)
		if err != nil {
			return err
		}
		got[o.GetNamespace()+"/"+o.GetName()] = o.GetResourceVersion()
	}
	if len(want) == 0 || !maps.Equal(want, got) {
		return fmt.Errorf("the informer has %v, want %v", got, want)
	}
	return nil
}

// streamCount counts the lists that informers asked to be streamed, by resource.
type streamCount struct {
	mu     sync.Mutex // guards counts
	counts map[string]int
}

func (s *streamCount) of(resource string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[resource]
}

func (s *streamCount) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		if err == nil && response.StatusCode == http.StatusOK && request.URL.Query().Get("sendInitialEvents") == "true" {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.counts == nil {
				s.counts = map[string]int{}
			}
			s.counts[request.URL.Path[strings.LastIndex(request.URL.Path, "/")+1:]]++
		}
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
