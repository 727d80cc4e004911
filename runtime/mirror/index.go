package mirror

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// index finds the mirror's containers without a look at all of them: each sync asks for those of its Pod, and each new
// sandbox for a free address.
type index struct {
	byID  map[string]*entry
	byPod map[types.UID][]*entry // oldest attempt first
	// sandboxes counts those with an address, dead ones too.
	sandboxes map[netip.Addr]int
}

func newIndex() index {
	return index{byID: map[string]*entry{}, byPod: map[types.UID][]*entry{}, sandboxes: map[netip.Addr]int{}}
}

// put adds a container, or replaces what was known of it.
func (x *index) put(e *entry) {
	x.remove(e.ID)
	x.byID[e.ID] = e
	list := append(x.byPod[e.Pod.UID], e)
	slices.SortFunc(list, olderAttempt)
	x.byPod[e.Pod.UID] = list
	if e.Address.IsValid() {
		x.sandboxes[e.Address]++
	}
}

// remove drops a container and returns what was known of it.
func (x *index) remove(id string) (e *entry, known bool) {
	if e, known = x.byID[id]; !known {
		return nil, false
	}
	delete(x.byID, id)
	uid := e.Pod.UID
	if x.byPod[uid] = slices.DeleteFunc(x.byPod[uid], func(other *entry) bool { return other == e }); len(x.byPod[uid]) == 0 {
		delete(x.byPod, uid)
	}
	if e.Address.IsValid() {
		if x.sandboxes[e.Address]--; x.sandboxes[e.Address] == 0 {
			delete(x.sandboxes, e.Address)
		}
	}
	return e, true
}

func olderAttempt(a, b *entry) int {
	if a.Attempt != b.Attempt {
		return a.Attempt - b.Attempt
	}
	return a.Created.Compare(b.Created)
}

// HasAddress tells whether a sandbox has an address, dead or not.
func (m *Mirror) HasAddress(addr netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.containers.sandboxes[addr] > 0
}

// NewestAddress is that of the sandbox that was made last.
func (m *Mirror) NewestAddress() netip.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	var newest *entry
	for _, e := range m.containers.byID {
		if e.Address.IsValid() && (newest == nil || e.Created.After(newest.Created)) {
			newest = e
		}
	}
	if newest == nil {
		return netip.Addr{}
	}
	return newest.Address
}
