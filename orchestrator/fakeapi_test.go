package orchestrator

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
)

// fakeAPI is an API server in memory behind client-go's fake clients: one
// revision counter for all kinds, generations, generated names, conflicts,
// preconditions, graceful deletion, finalizers and propagation, and watches that
// a test can hold back. The typed and the metadata client see the same objects.
type fakeAPI struct {
	client *fake.Clientset
	meta   *metadatafake.FakeMetadataClient

	mu       sync.Mutex
	changed  *sync.Cond // mu; an event was written, or a watch released or stopped
	revision uint64
	objects  map[schema.GroupVersionResource]map[string]runtime.Object
	history  map[schema.GroupVersionResource][]fakeEvent
	held     map[schema.GroupVersionResource]bool
	deny     func(action clienttesting.Action) error // nil, or an error for chosen requests
}

type fakeEvent struct {
	revision uint64
	event    apiwatch.Event
}

var (
	podsGVR        = corev1.SchemeGroupVersion.WithResource("pods")
	replicaSetsGVR = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}
)

func newFakeAPI(t *testing.T) *fakeAPI {
	f := &fakeAPI{
		client: fake.NewSimpleClientset(), meta: metadatafake.NewSimpleMetadataClient(metadatafake.NewTestScheme()),
		objects: map[schema.GroupVersionResource]map[string]runtime.Object{},
		history: map[schema.GroupVersionResource][]fakeEvent{}, held: map[schema.GroupVersionResource]bool{},
		revision: 1,
	}
	f.changed = sync.NewCond(&f.mu)
	f.client.PrependReactor("*", "*", f.react)
	f.client.PrependWatchReactor("*", func(a clienttesting.Action) (bool, apiwatch.Interface, error) { return true, f.watch(t, a, false), nil })
	f.meta.PrependReactor("*", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		_, obj, err := f.react(a)
		return true, onlyMeta(obj), err
	})
	f.meta.PrependWatchReactor("*", func(a clienttesting.Action) (bool, apiwatch.Interface, error) { return true, f.watch(t, a, true), nil })
	all := metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
	f.client.Resources = []*metav1.APIResourceList{
		{GroupVersion: "v1", APIResources: []metav1.APIResource{
			{Name: "pods", Kind: "Pod", Namespaced: true, Verbs: all}, {Name: "nodes", Kind: "Node", Verbs: all},
			{Name: "pods/status", Kind: "Pod", Namespaced: true, Verbs: metav1.Verbs{"get"}},
			{Name: "services", Kind: "Service", Namespaced: true, Verbs: all}, {Name: "endpoints", Kind: "Endpoints", Namespaced: true, Verbs: all},
			{Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: all}, {Name: "namespaces", Kind: "Namespace", Verbs: all},
			{Name: "events", Kind: "Event", Namespaced: true, Verbs: all},
		}},
		{GroupVersion: "apps/v1", APIResources: []metav1.APIResource{
			{Name: "replicasets", Kind: "ReplicaSet", Namespaced: true, Verbs: all}, {Name: "deployments", Kind: "Deployment", Namespaced: true, Verbs: all},
		}},
		{GroupVersion: "discovery.k8s.io/v1", APIResources: []metav1.APIResource{{Name: "endpointslices", Kind: "EndpointSlice", Namespaced: true, Verbs: all}}},
	}
	return f
}

// hold stops the watches of a kind until the returned function is called.
func (f *fakeAPI) hold(gvr schema.GroupVersionResource) (release func()) {
	set := func(held bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.held[gvr] = held
		f.changed.Broadcast()
	}
	set(true)
	return func() { set(false) }
}

func (f *fakeAPI) watch(t *testing.T, action clienttesting.Action, metaOnly bool) apiwatch.Interface {
	events := make(chan apiwatch.Event)
	w := apiwatch.NewProxyWatcher(events)
	gvr, from := action.GetResource(), uint64(0)
	if a, ok := action.(clienttesting.WatchActionImpl); ok {
		from = revision(a.ListOptions.ResourceVersion)
	}
	go func() {
		<-w.StopChan()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.changed.Broadcast()
	}()
	go func() {
		for sent := 0; ; sent++ {
			e, ok := f.next(gvr, sent, w)
			if !ok {
				return
			}
			if e.revision <= from {
				continue
			}
			if metaOnly {
				e.event.Object = onlyMeta(e.event.Object)
			}
			select {
			case events <- apiwatch.Event{Type: e.event.Type, Object: e.event.Object.DeepCopyObject()}:
			case <-w.StopChan():
				return
			}
		}
	}()
	t.Cleanup(w.Stop)
	return w
}

func (f *fakeAPI) next(gvr schema.GroupVersionResource, index int, w *apiwatch.ProxyWatcher) (fakeEvent, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !w.Stopping() && (f.held[gvr] || index >= len(f.history[gvr])) {
		f.changed.Wait()
	}
	if w.Stopping() {
		return fakeEvent{}, false
	}
	return f.history[gvr][index], true
}

func (f *fakeAPI) react(action clienttesting.Action) (bool, runtime.Object, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.deny != nil {
		if err := f.deny(action); err != nil {
			return true, nil, err
		}
	}
	gvr, ns := action.GetResource(), action.GetNamespace()
	var obj runtime.Object
	var err error
	switch a := action.(type) {
	case clienttesting.ListActionImpl:
		obj, err = f.list(gvr, ns, a.GetKind())
	case clienttesting.GetActionImpl:
		obj, err = f.get(gvr, ns, a.Name)
	case clienttesting.CreateActionImpl:
		obj, err = f.create(a, gvr, ns)
	case clienttesting.UpdateActionImpl:
		obj, err = f.update(gvr, ns, a.Object, a.Subresource)
	case clienttesting.PatchActionImpl:
		obj, err = f.patch(gvr, ns, a)
	case clienttesting.DeleteActionImpl:
		err = f.delete(gvr, ns, a.Name, a.DeleteOptions)
	case clienttesting.DeleteCollectionActionImpl:
		for _, name := range slices.Collect(maps.Keys(f.objects[gvr])) {
			if obj := object(f.objects[gvr][name]); obj.GetNamespace() == ns {
				err = f.delete(gvr, ns, obj.GetName(), a.DeleteOptions)
			}
		}
	case clienttesting.ActionImpl: // discovery: the client answers from its own list
	default:
		err = fmt.Errorf("the fake API cannot %s", action.GetVerb())
	}
	if obj != nil {
		obj = obj.DeepCopyObject()
	}
	return true, obj, err
}

func (f *fakeAPI) list(gvr schema.GroupVersionResource, ns string, gvk schema.GroupVersionKind) (runtime.Object, error) {
	var items []runtime.Object
	for _, obj := range f.objects[gvr] {
		if ns == "" || object(obj).GetNamespace() == ns {
			items = append(items, obj.DeepCopyObject())
		}
	}
	list, err := scheme.Scheme.New(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	if err != nil { // the metadata client names no kind
		partial := &metav1.List{}
		for _, item := range items {
			partial.Items = append(partial.Items, runtime.RawExtension{Object: onlyMeta(item)})
		}
		partial.ResourceVersion = strconv.FormatUint(f.revision, 10)
		return partial, nil
	}
	if err := meta.SetList(list, items); err != nil {
		return nil, err
	}
	list.(metav1.ListInterface).SetResourceVersion(strconv.FormatUint(f.revision, 10))
	return list, nil
}

func (f *fakeAPI) get(gvr schema.GroupVersionResource, ns, name string) (runtime.Object, error) {
	obj, ok := f.objects[gvr][ns+"/"+name]
	if !ok {
		return nil, apierrors.NewNotFound(gvr.GroupResource(), name)
	}
	return obj, nil
}

func (f *fakeAPI) create(a clienttesting.CreateActionImpl, gvr schema.GroupVersionResource, ns string) (runtime.Object, error) {
	if a.Subresource == "binding" {
		binding := a.Object.(*corev1.Binding)
		obj, err := f.get(gvr, ns, binding.Name)
		if err != nil {
			return nil, err
		}
		pod := obj.DeepCopyObject().(*corev1.Pod)
		if pod.Spec.NodeName != "" {
			return nil, apierrors.NewConflict(gvr.GroupResource(), pod.Name, fmt.Errorf("pod is already assigned to node %q", pod.Spec.NodeName))
		}
		pod.Spec.NodeName = binding.Target.Name
		f.store(gvr, pod, apiwatch.Modified)
		return binding, nil
	}
	if a.Subresource == "finalize" {
		return f.update(gvr, ns, a.Object, "finalize")
	}
	stored := a.Object.DeepCopyObject()
	obj := object(stored)
	if obj.GetName() == "" {
		obj.SetName(obj.GetGenerateName() + rand.String(5))
	}
	obj.SetNamespace(ns)
	if _, exists := f.objects[gvr][ns+"/"+obj.GetName()]; exists {
		return nil, apierrors.NewAlreadyExists(gvr.GroupResource(), obj.GetName())
	}
	if obj.GetUID() == "" {
		obj.SetUID(types.UID("uid-" + rand.String(10)))
	}
	obj.SetGeneration(1)
	if created := obj.GetCreationTimestamp(); created.IsZero() {
		obj.SetCreationTimestamp(metav1.Now())
	}
	f.store(gvr, stored, apiwatch.Added)
	return stored, nil
}

func (f *fakeAPI) update(gvr schema.GroupVersionResource, ns string, next runtime.Object, subresource string) (runtime.Object, error) {
	next = next.DeepCopyObject()
	obj := object(next)
	old, err := f.get(gvr, ns, obj.GetName())
	if err != nil {
		return nil, err
	}
	was := object(old)
	if v := obj.GetResourceVersion(); v != "" && v != was.GetResourceVersion() {
		return nil, apierrors.NewConflict(gvr.GroupResource(), obj.GetName(), fmt.Errorf("the object has been modified"))
	}
	if obj.GetUID() != "" && obj.GetUID() != was.GetUID() {
		return nil, apierrors.NewConflict(gvr.GroupResource(), obj.GetName(), fmt.Errorf("the UID is another"))
	}
	obj.SetUID(was.GetUID())
	obj.SetCreationTimestamp(was.GetCreationTimestamp())
	obj.SetDeletionTimestamp(was.GetDeletionTimestamp())
	obj.SetResourceVersion(was.GetResourceVersion())
	a, b := toMap(old), toMap(next)
	part := "status" // the part that this request may not touch
	if subresource == "status" {
		part = "spec"
	}
	if subresource == "" || subresource == "status" {
		if keep, ok := a[part]; ok {
			b[part] = keep
		} else {
			delete(b, part)
		}
	}
	obj.SetGeneration(was.GetGeneration())
	next = fromMap(b, old)
	if subresource == "" && !apiequality.Semantic.DeepEqual(content(a), content(b)) {
		object(next).SetGeneration(was.GetGeneration() + 1)
	}
	if apiequality.Semantic.DeepEqual(old, next) {
		return old, nil
	}
	return f.settle(gvr, next), nil
}

// settle stores a changed object, or removes it if nothing holds it any more.
func (f *fakeAPI) settle(gvr schema.GroupVersionResource, next runtime.Object) runtime.Object {
	obj := object(next)
	ns, isNamespace := next.(*corev1.Namespace)
	held := len(obj.GetFinalizers()) > 0 || gvr == podsGVR && obj.GetDeletionGracePeriodSeconds() != nil && *obj.GetDeletionGracePeriodSeconds() > 0 || isNamespace && len(ns.Spec.Finalizers) > 0
	if obj.GetDeletionTimestamp() != nil && !held {
		f.store(gvr, next, apiwatch.Deleted)
		return next
	}
	f.store(gvr, next, apiwatch.Modified)
	return next
}

func (f *fakeAPI) patch(gvr schema.GroupVersionResource, ns string, a clienttesting.PatchActionImpl) (runtime.Object, error) {
	old, err := f.get(gvr, ns, a.Name)
	if err != nil {
		return nil, err
	}
	before, _ := json.Marshal(old)
	var after []byte
	switch a.PatchType {
	case types.StrategicMergePatchType:
		if after, err = strategicpatch.StrategicMergePatch(before, a.Patch, old); err != nil {
			return nil, err
		}
	case types.MergePatchType:
		var patch map[string]any
		if err := json.Unmarshal(a.Patch, &patch); err != nil {
			return nil, err
		}
		after, _ = json.Marshal(mergePatch(toMap(old), patch))
	}
	var m map[string]any
	_ = json.Unmarshal(after, &m)
	return f.update(gvr, ns, fromMap(m, old), a.Subresource)
}

func (f *fakeAPI) delete(gvr schema.GroupVersionResource, ns, name string, opts metav1.DeleteOptions) error {
	old, err := f.get(gvr, ns, name)
	if err != nil {
		return err
	}
	next := old.DeepCopyObject()
	obj := object(next)
	if p := opts.Preconditions; p != nil && (p.UID != nil && *p.UID != obj.GetUID() || p.ResourceVersion != nil && *p.ResourceVersion != obj.GetResourceVersion()) {
		return apierrors.NewConflict(gvr.GroupResource(), name, fmt.Errorf("precondition failed"))
	}
	policy := metav1.DeletePropagationBackground
	if opts.PropagationPolicy != nil {
		policy = *opts.PropagationPolicy
	}
	for p, finalizer := range map[metav1.DeletionPropagation]string{
		metav1.DeletePropagationForeground: metav1.FinalizerDeleteDependents, metav1.DeletePropagationOrphan: metav1.FinalizerOrphanDependents,
	} {
		if p == policy && !slices.Contains(obj.GetFinalizers(), finalizer) {
			obj.SetFinalizers(append(obj.GetFinalizers(), finalizer))
		}
	}
	if obj.GetDeletionTimestamp() == nil {
		obj.SetDeletionTimestamp(new(metav1.Now()))
	}
	grace := int64(0)
	if pod, ok := next.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
		grace = 30
	}
	if opts.GracePeriodSeconds != nil {
		grace = *opts.GracePeriodSeconds
	}
	obj.SetDeletionGracePeriodSeconds(&grace)
	if !apiequality.Semantic.DeepEqual(old, next) {
		f.settle(gvr, next)
	}
	return nil
}

// store gives obj the next revision and tells the watches.
func (f *fakeAPI) store(gvr schema.GroupVersionResource, obj runtime.Object, kind apiwatch.EventType) {
	f.revision++
	m := object(obj)
	m.SetResourceVersion(strconv.FormatUint(f.revision, 10))
	if f.objects[gvr] == nil {
		f.objects[gvr] = map[string]runtime.Object{}
	}
	key := m.GetNamespace() + "/" + m.GetName()
	f.objects[gvr][key] = obj
	if kind == apiwatch.Deleted {
		delete(f.objects[gvr], key)
	}
	f.history[gvr] = append(f.history[gvr], fakeEvent{f.revision, apiwatch.Event{Type: kind, Object: obj}})
	f.changed.Broadcast()
}
