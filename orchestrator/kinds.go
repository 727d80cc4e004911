package orchestrator

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/cache"
)

// kindsFresh is for how long an answer of discovery is used. Kinds only come and
// go with CRDs; a discovery costs the server a few milliseconds.
const kindsFresh = 30 * time.Second

// kind is one kind of objects that the server stores.
type kind struct {
	gvr        schema.GroupVersionResource
	namespaced bool
	verbs      []string
}

func (k kind) can(verbs ...string) bool {
	for _, v := range verbs {
		if !slices.Contains(k.verbs, v) {
			return false
		}
	}
	return true
}

// kinds knows which kinds the server has, from discovery.
type kinds struct {
	discovery discovery.DiscoveryInterface

	mu     sync.Mutex
	asked  time.Time                        // guarded by mu, as all below
	stored []kind                           // one per resource, in its preferred version
	byKind map[schema.GroupVersionKind]kind // every version
}

func newKinds(d discovery.DiscoveryInterface) *kinds { return &kinds{discovery: d} }

// all returns each kind once. With an error it returns the kinds that could be
// found nevertheless.
func (k *kinds) all() ([]kind, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.asked) < kindsFresh {
		return k.stored, nil
	}
	return k.stored, k.ask()
}

// of returns the kind that an owner reference names, in the version it names,
// and whether the server has it.
func (k *kinds) of(apiVersion, name string) (kind, bool, error) {
	gvk := schema.FromAPIVersionAndKind(apiVersion, name)
	k.mu.Lock()
	defer k.mu.Unlock()
	found, ok := k.byKind[gvk]
	if !ok && time.Since(k.asked) >= kindsFresh {
		if err := k.ask(); err != nil {
			return kind{}, false, err
		}
		found, ok = k.byKind[gvk]
	}
	return found, ok, nil
}

// ask fills the tables from the server. Callers hold mu.
func (k *kinds) ask() error {
	groups, lists, err := k.discovery.ServerGroupsAndResources()
	if len(lists) == 0 {
		return fmt.Errorf("discover the server's kinds: %w", err)
	}
	k.stored, k.byKind = nil, map[schema.GroupVersionKind]kind{}
	preferred := map[schema.GroupVersion]bool{}
	for _, g := range groups {
		gv, parseErr := schema.ParseGroupVersion(g.PreferredVersion.GroupVersion)
		preferred[gv] = parseErr == nil
	}
	at := map[schema.GroupResource]int{}
	for _, list := range lists {
		gv, parseErr := schema.ParseGroupVersion(list.GroupVersion)
		if parseErr != nil {
			continue
		}
		for _, r := range list.APIResources {
			k.add(gv, r, preferred[gv], at)
		}
	}
	if err != nil {
		return fmt.Errorf("discover the server's kinds: %w", err)
	}
	k.asked = time.Now()
	return nil
}

// add enters one resource; at is where the resource's entry in stored is.
func (k *kinds) add(gv schema.GroupVersion, r metav1.APIResource, preferred bool, at map[schema.GroupResource]int) {
	if strings.Contains(r.Name, "/") { // a subresource
		return
	}
	entry := kind{gvr: gv.WithResource(r.Name), namespaced: r.Namespaced, verbs: r.Verbs}
	k.byKind[gv.WithKind(r.Kind)] = entry
	gr := entry.gvr.GroupResource()
	if i, known := at[gr]; known {
		if preferred {
			k.stored[i] = entry
		}
		return
	}
	at[gr] = len(k.stored)
	k.stored = append(k.stored, entry)
}

// typedInformers are the shared informers that the controllers use, by what
// they watch. The collector takes these kinds from here rather than watch twice.
func (w *world) typedInformers() map[schema.GroupVersionResource]cache.SharedIndexInformer {
	core, apps := w.informers.Core().V1(), w.informers.Apps().V1()
	v1, apps1 := schema.GroupVersion{Version: "v1"}, schema.GroupVersion{Group: "apps", Version: "v1"}
	discovery1 := schema.GroupVersion{Group: "discovery.k8s.io", Version: "v1"}
	return map[schema.GroupVersionResource]cache.SharedIndexInformer{
		v1.WithResource("pods"):                   core.Pods().Informer(),
		v1.WithResource("nodes"):                  core.Nodes().Informer(),
		v1.WithResource("services"):               core.Services().Informer(),
		v1.WithResource("endpoints"):              core.Endpoints().Informer(),
		v1.WithResource("namespaces"):             core.Namespaces().Informer(),
		v1.WithResource("configmaps"):             core.ConfigMaps().Informer(),
		v1.WithResource("secrets"):                core.Secrets().Informer(),
		v1.WithResource("serviceaccounts"):        core.ServiceAccounts().Informer(),
		apps1.WithResource("replicasets"):         apps.ReplicaSets().Informer(),
		apps1.WithResource("deployments"):         apps.Deployments().Informer(),
		discovery1.WithResource("endpointslices"): w.informers.Discovery().V1().EndpointSlices().Informer(),
	}
}
