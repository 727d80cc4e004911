package netproxy

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// nftElements are those of all maps and sets of a table, with who wants them. Several may want the same key: Services
// that share an endpoint, or that were given the same externalIP. Then the first by name has it, as among rules.
type nftElements struct {
	first  map[elementKey]claim
	others map[elementKey][]claim
	// dirty are the keys that changed since the kernel was told, with what it knows of them.
	dirty map[elementKey]known
}

type elementKey struct{ in, key string }

// claim is an element as its owner wants it. hostPorts are nobody's: they have maps of their own.
type claim struct {
	owner          types.NamespacedName
	value, comment string
}

// known is what the kernel has, if it has the element.
type known struct {
	value, comment string
	there          bool
}

func newNftElements() *nftElements {
	return &nftElements{map[elementKey]claim{}, map[elementKey][]claim{}, map[elementKey]known{}}
}

// replace takes an owner's old elements away and adds the new ones.
func (e *nftElements) replace(owner types.NamespacedName, old, now []element) {
	for _, el := range old {
		e.remove(elementKey{el.in, el.key}, owner)
	}
	for _, el := range now {
		e.add(elementKey{el.in, el.key}, claim{owner, el.value, el.comment})
	}
}

func (e *nftElements) touch(k elementKey) {
	if _, ok := e.dirty[k]; !ok {
		had, there := e.first[k]
		e.dirty[k] = known{had.value, had.comment, there}
	}
}

func (e *nftElements) add(k elementKey, c claim) {
	e.touch(k)
	had, taken := e.first[k]
	switch {
	case !taken || had.owner == c.owner:
		e.first[k] = c
	case compareNames(c.owner, had.owner) < 0:
		e.first[k] = c
		e.others[k] = append(e.others[k], had)
	default:
		e.others[k] = append(e.others[k], c)
	}
}

func (e *nftElements) remove(k elementKey, owner types.NamespacedName) {
	e.touch(k)
	rest := e.others[k]
	if e.first[k].owner != owner {
		rest = slices.DeleteFunc(rest, func(c claim) bool { return c.owner == owner })
	} else if len(rest) == 0 {
		delete(e.first, k)
	} else {
		slices.SortFunc(rest, func(a, b claim) int { return compareNames(a.owner, b.owner) })
		e.first[k] = rest[0]
		rest = slices.Delete(rest, 0, 1)
	}
	if len(rest) == 0 {
		delete(e.others, k)
	} else {
		e.others[k] = rest
	}
}

func compareNames(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// take returns what the kernel is to remove and to add, in a stable order, and begins anew.
func (e *nftElements) take() (gone, added []elementKey) {
	for k, had := range e.dirty {
		now, there := e.first[k]
		if had == (known{now.value, now.comment, there}) {
			continue
		}
		if had.there {
			gone = append(gone, k)
		}
		if there {
			added = append(added, k)
		}
	}
	e.dirty = map[elementKey]known{} // clearing one that was large once would cost that each time
	compare := func(a, b elementKey) int { return cmp.Or(cmp.Compare(a.in, b.in), cmp.Compare(a.key, b.key)) }
	slices.SortFunc(gone, compare)
	slices.SortFunc(added, compare)
	return gone, added
}
