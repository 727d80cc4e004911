package netproxy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/knftables"
)

// rewrite puts the whole table into the transaction. What there is is flushed and written again in one step, so that
// traffic finds no gap, and clients keep the endpoints that they had.
func (b *nftBackend) rewrite(ctx context.Context, tx *knftables.Transaction, want *desired) error {
	listing, cancel := context.WithTimeout(ctx, programTimeout)
	defer cancel()
	there, err := b.nft.ListAll(listing)
	if err != nil && !knftables.IsNotFound(err) {
		return fmt.Errorf("reading the nftables table %s: %w", b.table, err)
	}
	tx.Add(&knftables.Table{})
	if b.anew {
		tx.Delete(&knftables.Table{})
		tx.Add(&knftables.Table{})
		there = nil
	}
	b.services, b.hosts = map[types.NamespacedName][]servicePort{}, want.hosts
	b.elements, b.chains, b.stale = newNftElements(), chains{}, nil
	b.maps, b.clients, b.balances = map[string]string{}, map[string]int32{}, map[balance]int{}
	all := newNftPart()
	for name, ports := range want.services {
		part := nftServicePart(ports)
		b.elements.replace(name, nil, part.elements)
		b.count(newNftPart(), part)
		all.merge(part)
		b.services[name] = ports
	}
	b.elements.replace(types.NamespacedName{}, nil, nftHostPart(want.hosts).elements)
	maps.Copy(all.chains, want.settings.nftChains())

	b.addMaps(tx, all)
	tx.Add(&knftables.Set{Name: nftHairpins, Type: b.family.addressType() + " . " + b.family.addressType()})
	tx.Flush(&knftables.Set{Name: nftHairpins})
	b.addClients(tx, all.clients)
	b.addChains(tx, all.chains)
	b.addElements(tx)
	b.removeOthers(tx, there)
	return nil
}

// removeOthers takes away what the table has and should not: of Services that are gone, or of another version.
func (b *nftBackend) removeOthers(tx *knftables.Transaction, there map[string][]string) {
	for _, name := range there["chain"] {
		if _, ours := b.chains[name]; !ours {
			tx.Flush(&knftables.Chain{Name: name})
			b.stale = append(b.stale, name)
		}
	}
	for _, name := range there["set"] {
		if _, ours := b.clients[name]; !ours && name != nftHairpins && !strings.HasPrefix(name, "__") {
			tx.Delete(&knftables.Set{Name: name})
		}
	}
	for _, name := range there["map"] {
		if _, ours := b.maps[name]; !ours && !strings.HasPrefix(name, "__") {
			tx.Delete(&knftables.Map{Name: name})
		}
	}
}

// verify counts rules and compares elements: the kernel prints rules otherwise than they were written, and the cases to
// notice are flushes and removals.
func (b *nftBackend) verify(ctx context.Context) (bool, error) {
	whole := true
	if b.passes != nil {
		var err error
		if whole, err = b.passes.verify(ctx); err != nil {
			return false, err
		}
	}
	if !b.known {
		return false, nil
	}
	what, err := b.differs(ctx)
	if err != nil {
		return false, fmt.Errorf("reading the nftables table %s: %w", b.table, err)
	}
	if what != "" {
		b.told.tell("nftables", b.table, what)
		b.known = false
	}
	return whole && b.known, nil
}

// differs says in a few words what is not as it should be, or nothing.
func (b *nftBackend) differs(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, programTimeout)
	defer cancel()
	rules, err := b.nft.ListRules(ctx, "")
	if knftables.IsNotFound(err) {
		return "no table", nil
	}
	if err != nil {
		return "", err
	}
	count := map[string]int{}
	for _, r := range rules {
		count[r.Chain]++
	}
	for _, name := range slices.Sorted(maps.Keys(b.chains)) {
		if want := len(b.chains[name]); count[name] != want {
			return fmt.Sprintf("%d rules instead of %d in chain %s", count[name], want, name), nil
		}
		delete(count, name)
	}
	if len(count) > 0 {
		return "chains that nobody asked for", nil
	}
	return b.elementsDiffer(ctx)
}

func (b *nftBackend) elementsDiffer(ctx context.Context) (string, error) {
	want := map[string]int{}
	for k := range b.elements.first {
		want[k.in]++
	}
	for _, in := range append(slices.Sorted(maps.Keys(b.maps)), nftHairpins) {
		kind := "map"
		if in == nftHairpins {
			kind = "set"
		}
		there, err := b.nft.ListElements(ctx, kind, in)
		if knftables.IsNotFound(err) {
			return "no " + kind + " " + in, nil
		}
		if err != nil {
			return "", err
		}
		if len(there) != want[in] {
			return fmt.Sprintf("%d elements instead of %d in %s", len(there), want[in], in), nil
		}
		for _, el := range there {
			c, ok := b.elements.first[elementKey{in, strings.Join(el.Key, " . ")}]
			if !ok || c.value != strings.Join(el.Value, " . ") {
				return "another element " + strings.Join(el.Key, " . ") + " in " + in, nil
			}
		}
	}
	return "", nil
}
