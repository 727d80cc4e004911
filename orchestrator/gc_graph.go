package orchestrator

import (
	"fmt"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// node is what the collector knows of an object. Nodes are never changed, only
// replaced.
type node struct {
	gvr             schema.GroupVersionResource
	namespace, name string
	uid             types.UID
	version         string // resourceVersion
	owners          []metav1.OwnerReference
	finalizers      []string
	deleting        bool
}

func newNode(gvr schema.GroupVersionResource, obj metav1.Object) node {
	return node{
		gvr: gvr, namespace: obj.GetNamespace(), name: obj.GetName(), uid: obj.GetUID(), version: obj.GetResourceVersion(),
		owners: obj.GetOwnerReferences(), finalizers: obj.GetFinalizers(), deleting: obj.GetDeletionTimestamp() != nil,
	}
}

func (n node) String() string {
	return fmt.Sprintf("%s %s/%s", n.gvr.GroupResource(), n.namespace, n.name)
}

func (n node) has(finalizer string) bool { return slices.Contains(n.finalizers, finalizer) }

// waits tells whether the object is being deleted and waits for its dependents.
func (n node) waits() bool { return n.deleting && n.has(metav1.FinalizerDeleteDependents) }

// blocks tells whether n keeps the owner with that UID from going away.
func (n node) blocks(owner types.UID) bool {
	return slices.ContainsFunc(n.owners, func(r metav1.OwnerReference) bool {
		return r.UID == owner && r.BlockOwnerDeletion != nil && *r.BlockOwnerDeletion
	})
}

// graph holds every object and who owns it, and wakes those that may have to go
// when it changes.
type graph struct {
	wake func(types.UID)

	mu    sync.Mutex
	nodes map[types.UID]node                   // guarded by mu
	owned map[types.UID]map[types.UID]struct{} // owner to dependents; guarded by mu
}

func newGraph(wake func(types.UID)) *graph {
	return &graph{wake: wake, nodes: map[types.UID]node{}, owned: map[types.UID]map[types.UID]struct{}{}}
}

func (g *graph) get(uid types.UID) (node, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, ok := g.nodes[uid]
	return n, ok
}

// dependents returns the objects that name owner among their owners.
func (g *graph) dependents(owner types.UID) []node {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]node, 0, len(g.owned[owner]))
	for uid := range g.owned[owner] {
		list = append(list, g.nodes[uid])
	}
	return list
}

// put enters a new or changed object.
func (g *graph) put(n node) {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.nodes[n.uid]
	g.unlink(old)
	g.nodes[n.uid] = n
	for _, ref := range n.owners {
		if g.owned[ref.UID] == nil {
			g.owned[ref.UID] = map[types.UID]struct{}{}
		}
		g.owned[ref.UID][n.uid] = struct{}{}
	}
	g.wakeWaiting(old.owners)
	g.wakeWaiting(n.owners)
	if n.deleting || g.doubtful(n) {
		g.wake(n.uid)
	}
}

// remove takes an object out that is gone.
func (g *graph) remove(uid types.UID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	old, ok := g.nodes[uid]
	if !ok {
		return
	}
	g.unlink(old)
	delete(g.nodes, uid)
	g.wakeWaiting(old.owners)
	for dependent := range g.owned[uid] {
		g.wake(dependent)
	}
}

// doubtful tells whether an object has an owner that the graph does not hold
// where the reference says, or that waits for its dependents.
func (g *graph) doubtful(n node) bool {
	return slices.ContainsFunc(n.owners, func(ref metav1.OwnerReference) bool {
		owner, ok := g.nodes[ref.UID]
		return !ok || owner.name != ref.Name || owner.namespace != "" && owner.namespace != n.namespace || owner.waits()
	})
}

// wakeWaiting wakes those owners that wait for their dependents.
func (g *graph) wakeWaiting(owners []metav1.OwnerReference) {
	for _, ref := range owners {
		if g.nodes[ref.UID].waits() {
			g.wake(ref.UID)
		}
	}
}

func (g *graph) unlink(n node) {
	for _, ref := range n.owners {
		delete(g.owned[ref.UID], n.uid)
		if len(g.owned[ref.UID]) == 0 {
			delete(g.owned, ref.UID)
		}
	}
}
