package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/metadata"
)

const (
	namespaceWorkers = 2

	// namespaceRetry is how soon a namespace that is not empty yet is looked at
	// again; the end of one of its pods wakes it sooner.
	namespaceRetry = time.Second

	// kindsAtOnce is how many kinds of one namespace are emptied at the same time.
	kindsAtOnce = 8
)

var podsResource = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// namespaces empties each namespace that is being deleted, pods first, and then
// lets go of it.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
type namespaces struct {
	client kubernetes.Interface
	meta   metadata.Interface
	kinds  *kinds
	lister corelisters.NamespaceLister
	loop   *loop[string]
}

func newNamespaces(w *world) (controller, error) {
	core := w.informers.Core().V1()
	c := &namespaces{client: w.client, meta: w.meta, kinds: w.kinds, lister: core.Namespaces().Lister()}
	c.loop = newLoop("namespaces", w.log, c.reconcile)
	return c, errors.Join(
		watch(core.Namespaces().Informer(), func(old, cur *corev1.Namespace) {
			if cur != nil && cur.DeletionTimestamp != nil {
				c.loop.queue.Add(cur.Name)
			}
		}),
		watch(core.Pods().Informer(), func(old, cur *corev1.Pod) {
			if cur == nil && c.terminating(old.Namespace) {
				c.loop.queue.Add(old.Namespace)
			}
		}),
	)
}

func (c *namespaces) run(ctx context.Context) { c.loop.work(ctx, namespaceWorkers) }

func (c *namespaces) terminating(name string) bool {
	ns, err := c.lister.Get(name)
	return err == nil && ns.DeletionTimestamp != nil
}

func (c *namespaces) reconcile(ctx context.Context, name string) (time.Duration, error) {
	if !c.terminating(name) {
		return 0, nil
	}
	// The server's version, not the cache's: it is about to be emptied for good.
	ns, err := c.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the namespace: %w", err)
	}
	if ns.DeletionTimestamp == nil || len(ns.Spec.Finalizers) == 0 {
		return 0, nil
	}
	left, err := c.empty(ctx, name)
	if statusErr := c.writeStatus(ctx, ns, left); statusErr != nil {
		return 0, errors.Join(err, statusErr)
	}
	switch {
	case err != nil:
		return 0, err
	case len(left.objects) > 0:
		return namespaceRetry, nil
	}
	return 0, c.finalize(ctx, name)
}

// leftovers is what emptying a namespace could not get rid of yet.
type leftovers struct {
	mu         sync.Mutex
	objects    map[schema.GroupVersionResource]int // guarded by mu, as all below
	finalizers map[string]int                      // how many objects each one holds
	discovery  error
	deletion   []error
}

// empty deletes what is in the namespace. Other kinds wait until the last pod
// has ended: it may need its Secrets, Services and quotas to end well.
func (c *namespaces) empty(ctx context.Context, name string) (*leftovers, error) {
	left := &leftovers{objects: map[schema.GroupVersionResource]int{}, finalizers: map[string]int{}}
	all, err := c.kinds.all()
	left.discovery = err
	var others []kind
	for _, k := range all {
		switch {
		case !k.namespaced || !k.can("list", "delete"):
		case k.gvr == podsResource:
			c.emptyKind(ctx, k, name, left)
		default:
			others = append(others, k)
		}
	}
	if left.objects[podsResource] == 0 && len(left.deletion) == 0 {
		for batch := range slices.Chunk(others, kindsAtOnce) {
			_ = concurrently(len(batch), func(i int) error { c.emptyKind(ctx, batch[i], name, left); return nil })
		}
	}
	return left, errors.Join(append(left.deletion, left.discovery)...)
}

// emptyKind deletes the objects of one kind and counts those that stay: pods that
// end gracefully, and what has finalizers.
func (c *namespaces) emptyKind(ctx context.Context, k kind, namespace string, left *leftovers) {
	objects, err := c.deleteKind(ctx, k, namespace)
	left.mu.Lock()
	defer left.mu.Unlock()
	if err != nil {
		left.deletion = append(left.deletion, err)
	}
	if len(objects) > 0 {
		left.objects[k.gvr] = len(objects)
	}
	for _, obj := range objects {
		for _, f := range obj.Finalizers {
			left.finalizers[f]++
		}
	}
}

func (c *namespaces) deleteKind(ctx context.Context, k kind, namespace string) ([]metav1.PartialObjectMetadata, error) {
	api := c.meta.Resource(k.gvr).Namespace(namespace)
	list, err := api.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, ignoreUnsupported(fmt.Errorf("list %s: %w", k.gvr.GroupResource(), err))
	}
	doomed := slices.DeleteFunc(slices.Clone(list.Items), func(o metav1.PartialObjectMetadata) bool { return o.DeletionTimestamp != nil })
	if len(doomed) == 0 {
		return list.Items, nil
	}
	background := metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}
	if k.can("deletecollection") {
		err = api.DeleteCollection(ctx, background, metav1.ListOptions{})
	} else {
		err = concurrently(len(doomed), func(i int) error {
			err := api.Delete(ctx, doomed[i].Name, background)
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		})
	}
	if err != nil {
		return list.Items, fmt.Errorf("delete all %s: %w", k.gvr.GroupResource(), err)
	}
	if list, err = api.List(ctx, metav1.ListOptions{}); err != nil {
		return nil, fmt.Errorf("list %s: %w", k.gvr.GroupResource(), err)
	}
	return list.Items, nil
}

// ignoreUnsupported drops the errors of kinds that discovery names but the
// server does not serve.
func ignoreUnsupported(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil
	}
	return err
}

// finalize lets go of an empty namespace; the server then removes it.
func (c *namespaces) finalize(ctx context.Context, name string) error {
	ns, err := c.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		ns.Spec.Finalizers = slices.DeleteFunc(ns.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
		_, err = c.client.CoreV1().Namespaces().Finalize(ctx, ns, metav1.UpdateOptions{})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("finalize the namespace: %w", err)
	}
	return nil
}

// writeStatus shows the phase and what still stands in the way.
func (c *namespaces) writeStatus(ctx context.Context, ns *corev1.Namespace, left *leftovers) error {
	status := ns.Status.DeepCopy()
	status.Phase = corev1.NamespaceTerminating
	if !left.show(status, metav1.Now()) && ns.Status.Phase == status.Phase {
		return nil
	}
	ns = ns.DeepCopy()
	ns.Status = *status
	if _, err := c.client.CoreV1().Namespaces().UpdateStatus(ctx, ns, metav1.UpdateOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("write the status: %w", err)
	}
	return nil
}
