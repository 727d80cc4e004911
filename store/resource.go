package store

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/btree"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// indexDegree is the B-tree's: wide enough to be shallow, narrow enough that copy-on-write copies little.
const indexDegree = 16

// An entry is one object as of one revision. Entries and the objects in them never change once they are visible.
type entry struct {
	key    string
	rev    uint64
	obj    runtime.Object // its resourceVersion is rev; nil when err or data is set
	data   []byte         // of a custom resource, decrypted; its objects are in forms
	forms  atomic.Pointer[[]form]
	size   int   // bytes in the file, without the header
	expiry int64 // Unix milliseconds, 0 for never
	err    error // why what the file has could not be decoded, or decrypted
}

type index = btree.BTreeG[*entry]

func newIndex() *index {
	return btree.NewG(indexDegree, func(a, b *entry) bool { return a.key < b.key })
}

func lookup(t *index, key string) *entry {
	e, _ := t.Get(&entry{key: key})
	return e
}

// scan calls visit for the entries whose key has prefix, from the key start on, until visit returns false.
func scan(t *index, prefix, start string, visit func(*entry) bool) {
	t.AscendGreaterOrEqual(&entry{key: max(prefix, start)}, func(e *entry) bool {
		return strings.HasPrefix(e.key, prefix) && visit(e)
	})
}

// A resource is all objects under one key prefix. Several views may share it, such as those of the two API groups that
// serve events.
type resource struct {
	prefix string // with a slash at both ends
	loaded sync.Once
	err    error // why the file could not be read; set while loading

	// cloneMu guards the act of cloning an index: a clone marks the original as shared.
	cloneMu sync.Mutex

	// Store.mu guards the rest. A tree that stands in this field is never modified, only replaced.
	tree    *index
	bytes   int64 // sum of the entries' sizes
	history history
	// changed is closed and replaced when the history grows or is cut.
	changed chan struct{}
}

// newResource returns a resource whose past before rev is unknown.
func newResource(prefix string, rev uint64) *resource {
	r := &resource{prefix: prefix, tree: newIndex(), changed: make(chan struct{})}
	if rev > firstRevision { // else there is no past
		r.history.compacted = rev
	}
	return r
}

func (r *resource) clone(t *index) *index {
	r.cloneMu.Lock()
	defer r.cloneMu.Unlock()
	return t.Clone()
}

// stats are the resource's size; the caller holds Store.mu.
func (r *resource) stats() storage.Stats {
	stats := storage.Stats{ObjectCount: int64(r.tree.Len())}
	if stats.ObjectCount > 0 {
		stats.EstimatedAverageObjectSizeBytes = r.bytes / stats.ObjectCount
	}
	return stats
}

// notify wakes every watch of the resource; the caller holds Store.mu for writing.
func (r *resource) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// undo returns the index as it was before events, which are the latest ones of t.
func (r *resource) undo(t *index, events []event) *index {
	if len(events) == 0 {
		return t
	}
	past := r.clone(t)
	for i := len(events) - 1; i >= 0; i-- {
		if e := &events[i]; e.prev != nil {
			past.ReplaceOrInsert(e.prev)
		} else {
			past.Delete(e.cur)
		}
	}
	return past
}
