package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/lru"
)

const (
	collectorWorkers = 20

	// collectorSync bounds the wait for all kinds to be listed at start. A kind
	// that cannot be listed must not keep the others from being collected.
	collectorSync = 30 * time.Second

	// discoveryRetry is how soon a failed discovery is tried again.
	discoveryRetry = time.Second

	// unseenOwnerRetry is when an object is looked at again whose owner the server
	// has but the graph does not know yet.
	unseenOwnerRetry = 5 * time.Second

	// absentOwners is how many UIDs are remembered that are known to be gone.
	absentOwners = 1000
)

// collector deletes what has lost its owner, and carries out foreground and
// orphan deletion. It watches the metadata of every kind that can be deleted.
// https://kubernetes.io/docs/concepts/architecture/garbage-collection/
type collector struct {
	meta   metadata.Interface
	kinds  *kinds
	shared map[schema.GroupVersionResource]cache.SharedIndexInformer
	graph  *graph
	known  []cache.DoneChecker // done when the graph holds what was there at the start
	absent *lru.Cache          // of absentKey
	loop   *loop[types.UID]
}

// absentKey is an owner that a namespace does not have. UIDs never come back.
type absentKey struct {
	uid       types.UID
	namespace string // of the dependent
}

func newCollector(w *world) (controller, error) {
	c := &collector{meta: w.meta, kinds: w.kinds, shared: w.typedInformers(), absent: lru.New(absentOwners)}
	c.loop = newLoop("collector", w.log, c.reconcile)
	c.graph = newGraph(c.loop.queue.Add)
	var errs []error
	for gvr, informer := range c.shared {
		errs = append(errs, c.follow(gvr, informer))
	}
	return c, errors.Join(errs...)
}

// follow keeps the graph equal to what informer sees.
func (c *collector) follow(gvr schema.GroupVersionResource, informer cache.SharedIndexInformer) error {
	known, err := observe(informer, func(old, cur metav1.Object) {
		if old != nil && (cur == nil || cur.GetUID() != old.GetUID()) {
			c.absent.Add(absentKey{old.GetUID(), old.GetNamespace()}, nil)
			c.graph.remove(old.GetUID())
		}
		if cur != nil {
			c.graph.put(newNode(gvr, cur))
		}
	})
	if err != nil {
		return err
	}
	c.known = append(c.known, known)
	return nil
}

func (c *collector) run(ctx context.Context) {
	var watching sync.WaitGroup
	defer watching.Wait()
	c.watchOthers(ctx, &watching)
	c.loop.work(ctx, collectorWorkers)
}

// watchOthers starts to watch the kinds for which no shared informer runs, one
// after the other: nothing waits for the collector, and the start of the whole
// is no time to list forty kinds at once.
func (c *collector) watchOthers(ctx context.Context, watching *sync.WaitGroup) {
	inTime, cancel := context.WithTimeout(ctx, collectorSync)
	defer cancel()
	all, err := c.kinds.all()
	for err != nil && len(all) == 0 && ctx.Err() == nil {
		c.loop.log.Warn("discovery failed, trying again", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(discoveryRetry):
		}
		all, err = c.kinds.all()
	}
	for _, k := range all {
		if c.shared[k.gvr] != nil || !collectable(k) {
			continue
		}
		informer := metadatainformer.NewFilteredMetadataInformer(c.meta, k.gvr, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
		if err := errors.Join(informer.SetTransform(onlyOwnership), c.follow(k.gvr, informer)); err != nil {
			c.loop.log.Error("watch a kind", "kind", k.gvr, "err", err)
			continue
		}
		watching.Go(func() { informer.Run(ctx.Done()) })
		if !cache.WaitFor(inTime, "", informer.HasSyncedChecker()) && ctx.Err() == nil {
			c.loop.log.Warn("a kind is not listed yet, going on without it", "kind", k.gvr)
		}
	}
	cache.WaitFor(inTime, "", c.known...)
}

// collectable leaves events out: they own nothing and are many.
func collectable(k kind) bool {
	return k.gvr.Resource != "events" && k.can("list", "watch", "delete")
}

// onlyOwnership keeps of an object's metadata what the graph is made of.
func onlyOwnership(obj any) (any, error) {
	if m, ok := obj.(*metav1.PartialObjectMetadata); ok {
		m.Labels, m.Annotations, m.ManagedFields = nil, nil, nil
	}
	return obj, nil
}

func (c *collector) reconcile(ctx context.Context, uid types.UID) (time.Duration, error) {
	n, ok := c.graph.get(uid)
	switch {
	case !ok:
		return 0, nil
	case n.deleting && n.has(metav1.FinalizerOrphanDependents):
		return 0, c.orphanDependents(ctx, n)
	case n.deleting && n.has(metav1.FinalizerDeleteDependents):
		return 0, c.deleteDependents(ctx, n)
	case n.deleting || len(n.owners) == 0:
		return 0, nil
	}
	return c.collect(ctx, n)
}

// collect deletes n if none of its owners is left.
func (c *collector) collect(ctx context.Context, n node) (time.Duration, error) {
	var solid, dangling, waiting []metav1.OwnerReference
	unseen := false
	for _, ref := range n.owners {
		state, err := c.lookup(ctx, n, ref)
		if err != nil {
			return 0, err
		}
		switch state {
		case ownerGone:
			dangling = append(dangling, ref)
		case ownerWaits:
			waiting = append(waiting, ref)
		default:
			solid = append(solid, ref)
			unseen = unseen || state == ownerUnseen
		}
	}
	switch {
	case len(solid) > 0 && len(dangling)+len(waiting) > 0:
		return 0, c.writeOwners(ctx, n, solid)
	case unseen:
		return unseenOwnerRetry, nil
	case len(solid) > 0:
		return 0, nil
	case len(waiting) > 0 && len(c.graph.dependents(n.uid)) > 0:
		return 0, c.deleteInForeground(ctx, n)
	}
	policy := metav1.DeletePropagationBackground
	switch {
	case n.has(metav1.FinalizerOrphanDependents):
		policy = metav1.DeletePropagationOrphan
	case n.has(metav1.FinalizerDeleteDependents):
		policy = metav1.DeletePropagationForeground
	}
	return 0, c.delete(ctx, n, policy)
}

// ownerState is what became of an owner.
type ownerState int

const (
	ownerSolid  ownerState = iota // exists
	ownerUnseen                   // exists or may exist, but the graph does not know it yet
	ownerGone                     // does not exist, or not where the reference says
	ownerWaits                    // is being deleted and waits for its dependents
)

// lookup asks the graph first, and for what the graph does not know the server:
// nothing is deleted because a watch is late.
func (c *collector) lookup(ctx context.Context, n node, ref metav1.OwnerReference) (ownerState, error) {
	k, known, err := c.kinds.of(ref.APIVersion, ref.Kind)
	if err != nil {
		return 0, fmt.Errorf("look for owner %s/%s: %w", ref.Kind, ref.Name, err)
	}
	if !known {
		return ownerUnseen, nil // its kind may come; what is not known to be gone stays
	}
	if owner, ok := c.graph.get(ref.UID); ok && owner.name == ref.Name && owner.gvr.GroupResource() == k.gvr.GroupResource() && (!k.namespaced || owner.namespace == n.namespace) {
		if owner.deleting && owner.has(metav1.FinalizerDeleteDependents) {
			return ownerWaits, nil
		}
		return ownerSolid, nil
	}
	namespace := n.namespace
	if !k.namespaced {
		namespace = ""
	} else if n.namespace == "" {
		return ownerSolid, nil // a cluster-wide object cannot have such an owner; leave it alone
	}
	key := absentKey{ref.UID, namespace}
	if _, gone := c.absent.Get(key); gone {
		return ownerGone, nil
	}
	owner, err := c.meta.Resource(k.gvr).Namespace(namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) || err == nil && owner.UID != ref.UID:
		c.absent.Add(key, nil)
		return ownerGone, nil
	case err != nil:
		return 0, fmt.Errorf("look for owner %s/%s: %w", ref.Kind, ref.Name, err)
	case owner.DeletionTimestamp != nil && slices.Contains(owner.Finalizers, metav1.FinalizerDeleteDependents):
		return ownerWaits, nil
	}
	return ownerUnseen, nil
}

// deleteDependents deletes what keeps n, and lets go of n when nothing does.
func (c *collector) deleteDependents(ctx context.Context, n node) error {
	blocking := 0
	for _, dependent := range c.graph.dependents(n.uid) {
		if !dependent.blocks(n.uid) {
			continue
		}
		blocking++
		if !dependent.deleting {
			c.loop.queue.Add(dependent.uid)
		}
	}
	if blocking > 0 {
		return nil // the end of each one wakes n again
	}
	return c.removeFinalizer(ctx, n, metav1.FinalizerDeleteDependents)
}

// deleteInForeground deletes a dependent that has dependents itself, so that its
// owner's end waits for all of them. If two objects wait for each other in this
// way, n stops to block its owners.
func (c *collector) deleteInForeground(ctx context.Context, n node) error {
	for _, dependent := range c.graph.dependents(n.uid) {
		if !dependent.deleting || !dependent.has(metav1.FinalizerDeleteDependents) {
			continue
		}
		owners := slices.Clone(n.owners)
		for i := range owners {
			owners[i].BlockOwnerDeletion = new(false)
		}
		if !slices.ContainsFunc(n.owners, func(r metav1.OwnerReference) bool { return r.BlockOwnerDeletion != nil && *r.BlockOwnerDeletion }) {
			break
		}
		return c.writeOwners(ctx, n, owners) // its event brings us here again
	}
	return c.delete(ctx, n, metav1.DeletePropagationForeground)
}

// orphanDependents takes n out of its dependents' owners and lets go of n. It
// finds them by asking the server: one that the watch has not shown yet would be
// collected later instead of kept.
func (c *collector) orphanDependents(ctx context.Context, n node) error {
	all, err := c.kinds.all()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(slices.Clone(all), func(k kind) bool {
		return !collectable(k) || n.namespace != "" && !k.namespaced
	})
	err = concurrently(len(all), func(i int) error {
		list, err := c.meta.Resource(all[i].gvr).Namespace(n.namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return ignoreUnsupported(fmt.Errorf("list %s: %w", all[i].gvr.GroupResource(), err))
		}
		for _, item := range list.Items {
			dependent := newNode(all[i].gvr, &item)
			kept := slices.DeleteFunc(slices.Clone(dependent.owners), func(r metav1.OwnerReference) bool { return r.UID == n.uid })
			if len(kept) == len(dependent.owners) {
				continue
			}
			if err := c.writeOwners(ctx, dependent, kept); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.removeFinalizer(ctx, n, metav1.FinalizerOrphanDependents)
}

// delete deletes n unless it has changed since the graph saw it: it may have been
// given an owner.
func (c *collector) delete(ctx context.Context, n node, policy metav1.DeletionPropagation) error {
	err := c.meta.Resource(n.gvr).Namespace(n.namespace).Delete(ctx, n.name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &n.uid, ResourceVersion: &n.version}, PropagationPolicy: &policy,
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", n, err)
	}
	return nil
}

func (c *collector) writeOwners(ctx context.Context, n node, owners []metav1.OwnerReference) error {
	return c.patch(ctx, n, "ownerReferences", owners)
}

func (c *collector) removeFinalizer(ctx context.Context, n node, name string) error {
	return c.patch(ctx, n, "finalizers", slices.DeleteFunc(slices.Clone(n.finalizers), func(f string) bool { return f == name }))
}

// patch replaces one list of n's metadata, if n has not changed meanwhile.
func (c *collector) patch(ctx context.Context, n node, field string, value any) error {
	data := mustJSON(map[string]any{"metadata": map[string]any{"uid": n.uid, "resourceVersion": n.version, field: value}})
	_, err := c.meta.Resource(n.gvr).Namespace(n.namespace).Patch(ctx, n.name, types.MergePatchType, data, metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("write the %s of %s: %w", field, n, err)
	}
	return nil
}
