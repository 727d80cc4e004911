package orchestrator

import (
	"strconv"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// lastWrites remembers, for each key, what its controller wrote last, and tells
// whether the caches show it. A controller that acts only on keys that are
// visible never acts on a world older than the one it made itself, so a delayed
// watch cannot make it create or delete twice.
//
// It rests on two facts: the revisions of the API server are one counter for
// all kinds, and an informer's store tells the newest revision that it holds.
type lastWrites[K comparable] struct {
	mu   sync.Mutex
	keys map[K]*writes // guarded by mu
}

// writes is what was written for one key and is perhaps not yet in the caches.
type writes struct {
	revisions map[cache.SharedIndexInformer]uint64
	deleted   map[types.UID]deletion
}

// deletion is an accepted deletion. Its revision is unknown, since typed clients
// drop the response, so it is recognised by the object itself.
type deletion struct {
	informer cache.SharedIndexInformer
	key      string
}

func newLastWrites[K comparable]() *lastWrites[K] {
	return &lastWrites[K]{keys: map[K]*writes{}}
}

func (l *lastWrites[K]) of(key K) *writes {
	w := l.keys[key]
	if w == nil {
		w = &writes{revisions: map[cache.SharedIndexInformer]uint64{}, deleted: map[types.UID]deletion{}}
		l.keys[key] = w
	}
	return w
}

// wrote records that obj, of informer's kind, is what the server answered to a
// create, an update or a patch for key.
func (l *lastWrites[K]) wrote(key K, informer cache.SharedIndexInformer, obj metav1.Object) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.of(key)
	w.revisions[informer] = max(w.revisions[informer], revision(obj.GetResourceVersion()))
}

// deleted records that the server accepted to delete obj, of informer's kind.
func (l *lastWrites[K]) deleted(key K, informer cache.SharedIndexInformer, obj metav1.Object) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(key).deleted[obj.GetUID()] = deletion{informer, cache.MetaObjectToName(obj).String()}
}

// visible tells whether the caches hold all that was written for key.
func (l *lastWrites[K]) visible(key K) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.keys[key]
	if w == nil {
		return true
	}
	for informer, wrote := range w.revisions {
		if newest(informer) < wrote {
			return false
		}
		delete(w.revisions, informer)
	}
	for uid, d := range w.deleted {
		if !d.visible(uid) {
			return false
		}
		delete(w.deleted, uid)
	}
	delete(l.keys, key)
	return true
}

// forget drops what is known of a key that is gone.
func (l *lastWrites[K]) forget(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.keys, key)
}

func (d deletion) visible(uid types.UID) bool {
	cached, exists, err := d.informer.GetStore().GetByKey(d.key)
	if err != nil || !exists {
		return true
	}
	obj, ok := cached.(metav1.Object)
	return !ok || obj.GetUID() != uid || obj.GetDeletionTimestamp() != nil
}

// newest is the revision that informer's store has reached.
func newest(informer cache.SharedIndexInformer) uint64 {
	reached := informer.GetStore().LastStoreSyncResourceVersion()
	if reached == "" { // the client's AtomicFIFO feature is switched off
		reached = informer.LastSyncResourceVersion()
	}
	return revision(reached)
}

// revision parses a resourceVersion; what is no number counts as 0, that is, as
// seen already.
func revision(resourceVersion string) uint64 {
	n, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
