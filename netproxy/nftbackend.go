package netproxy

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/knftables"
)

// nftBackend has the rules in a table of its own, of nftables. What a packet costs and what a change costs does not
// depend on the number of Services: a packet is looked up in a map, and a change is a few elements of it.
type nftBackend struct {
	nft    knftables.Interface
	family family
	table  string
	passes *applier // iptables, for what has to be accepted there, and for policies; nil where there is none
	told   repairs

	// What follows is what the table has. It means nothing unless known: see backend.apply.
	known    bool
	anew     bool // the table is in the way, so that it has to be made anew
	services map[types.NamespacedName][]servicePort
	hosts    []hostPort
	elements *nftElements
	chains   chains
	maps     map[string]string // with their types
	clients  map[string]int32
	balances map[balance]int // how many Services use each
	stale    []string        // chains that nothing leads to any more, flushed
}

func newNftBackend(nft knftables.Interface, f family, instance string, passes *applier, log *slog.Logger) *nftBackend {
	return &nftBackend{nft: nft, family: f, table: nftTable(instance), passes: passes, told: newRepairs(log)}
}

func (b *nftBackend) apply(ctx context.Context, want *desired, c changes) (transactions uint32, err error) {
	if transactions, err = b.applyTable(ctx, want, c); err != nil || b.passes == nil || b.passes.known() && !c.all && !c.policies {
		return transactions, err
	}
	// It also ends what the other backend left, now that the table does its work.
	n, err := b.passes.apply(ctx, nftBeside(want))
	return transactions + n, err
}

// nftBeside is what iptables has to do beside a table: let packets pass others' rules, and keep policies.
func nftBeside(want *desired) ruleset {
	c := chains{}
	want.settings.addAccepts(c)
	want.settings.addPolicies(c, want.policies)
	return ruleset{"filter": c}
}

func (b *nftBackend) applyTable(ctx context.Context, want *desired, c changes) (transactions uint32, err error) {
	stale := b.stale
	tx := b.nft.NewTransaction()
	if b.known && !c.all {
		b.change(tx, want, c)
	} else if err := b.rewrite(ctx, tx, want); err != nil {
		return 0, err
	}
	if tx.NumOperations() > 0 {
		b.known = false
		if err := b.nft.Run(ctx, tx); err != nil {
			b.anew = true
			return 0, fmt.Errorf("writing the nftables table %s: %w", b.table, err)
		}
		b.known, b.anew = true, false
		transactions++
	}
	return transactions + b.removeStale(ctx, stale), nil
}

// change puts what changed into the transaction.
func (b *nftBackend) change(tx *knftables.Transaction, want *desired, c changes) {
	before, after := newNftPart(), newNftPart()
	for name := range c.services {
		old, now := nftServicePart(b.services[name]), nftServicePart(want.services[name])
		b.elements.replace(name, old.elements, now.elements)
		b.count(old, now)
		before.merge(old)
		after.merge(now)
		b.noteService(name, want.services[name])
	}
	if c.hosts {
		b.elements.replace(types.NamespacedName{}, nftHostPart(b.hosts).elements, nftHostPart(want.hosts).elements)
		b.hosts = want.hosts
	}
	b.addMaps(tx, after)
	b.addClients(tx, after.clients)
	b.addChains(tx, after.chains)
	b.addElements(tx)
	b.removeUnused(tx, before, after)
}

// merge adds the chains and sets of another part, not its elements.
func (p *nftPart) merge(other *nftPart) {
	maps.Copy(p.balances, other.balances)
	maps.Copy(p.chains, other.chains)
	maps.Copy(p.clients, other.clients)
}

// count notes that a Service uses other balances now.
func (b *nftBackend) count(old, now *nftPart) {
	for balance := range now.balances {
		b.balances[balance]++
	}
	for balance := range old.balances {
		b.balances[balance]--
	}
}

// removeUnused takes away what only Services of before had.
func (b *nftBackend) removeUnused(tx *knftables.Transaction, before, after *nftPart) {
	for balance := range before.balances {
		if b.balances[balance] == 0 {
			delete(b.balances, balance)
			before.chains[balance.chain()] = nil
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before.chains)) {
		if _, stays := after.chains[name]; stays {
			continue
		}
		tx.Flush(&knftables.Chain{Name: name})
		delete(b.chains, name)
		b.stale = append(slices.Clone(b.stale), name)
	}
	for _, name := range slices.Sorted(maps.Keys(before.clients)) {
		if _, stays := after.clients[name]; !stays {
			tx.Delete(&knftables.Set{Name: name})
			delete(b.clients, name)
		}
	}
}

func (b *nftBackend) noteService(name types.NamespacedName, ports []servicePort) {
	if len(ports) == 0 {
		delete(b.services, name)
	} else {
		b.services[name] = ports
	}
}

// addMaps adds the maps that the table has not, and the chains that lead to endpoints to those of the part.
func (b *nftBackend) addMaps(tx *knftables.Transaction, part *nftPart) {
	add := func(name, kind string) {
		if _, there := b.maps[name]; !there {
			b.maps[name] = kind
			tx.Add(&knftables.Map{Name: name, Type: kind})
			tx.Flush(&knftables.Map{Name: name}) // of what an earlier daemon left
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.family.nftMaps())) {
		add(name, b.family.nftMaps()[name])
	}
	byName := func(a, b balance) int { return strings.Compare(a.chain(), b.chain()) }
	for _, balance := range slices.SortedFunc(maps.Keys(part.balances), byName) {
		part.chains[balance.chain()] = balance.rules()
		for i := range balance.n {
			add(balance.way.endpointMap(i), balance.way.endpointMapType(b.family))
			part.chains[balance.way.endpointChain(i)] = balance.way.endpointRules(i, b.family)
		}
	}
}

// addClients adds the sets of clients with affinity that the table has not.
func (b *nftBackend) addClients(tx *knftables.Transaction, clients map[string]int32) {
	for _, name := range slices.Sorted(maps.Keys(clients)) {
		if _, there := b.clients[name]; there {
			continue
		}
		b.clients[name] = clients[name]
		timeout := time.Duration(clients[name]) * time.Second
		tx.Add(&knftables.Set{Name: name, Type: b.family.addressType(), Timeout: &timeout,
			Flags: []knftables.SetFlag{knftables.DynamicFlag, knftables.TimeoutFlag}})
	}
}

// addChains adds chains, or gives those that there are other rules. One may lead to any other, so that all are added first.
func (b *nftBackend) addChains(tx *knftables.Transaction, want chains) {
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if rules, there := b.chains[name]; there && slices.Equal(rules, want[name]) {
			continue
		}
		chain := &knftables.Chain{Name: name}
		if base, ok := nftBaseChains()[name]; ok {
			chain.Type = knftables.PtrTo(knftables.BaseChainType(base.kind))
			chain.Hook = knftables.PtrTo(knftables.BaseChainHook(base.hook))
			chain.Priority = knftables.PtrTo(knftables.BaseChainPriority(base.priority))
		}
		tx.Add(chain)
		tx.Flush(&knftables.Chain{Name: name})
		changed = append(changed, name)
		b.chains[name] = want[name]
	}
	b.stale = slices.DeleteFunc(slices.Clone(b.stale), func(name string) bool { _, again := want[name]; return again })
	for _, name := range changed {
		for _, rule := range want[name] {
			tx.Add(&knftables.Rule{Chain: name, Rule: rule})
		}
	}
}

// addElements puts the elements that changed into the transaction.
func (b *nftBackend) addElements(tx *knftables.Transaction) {
	gone, added := b.elements.take()
	for _, k := range gone {
		tx.Delete(b.element(k))
	}
	for _, k := range added {
		el, c := b.element(k), b.elements.first[k]
		if c.value != "" {
			el.Value = []string{c.value}
		}
		if c.comment != "" {
			el.Comment = knftables.PtrTo(c.comment[max(0, len(c.comment)-knftables.CommentLengthMax+1):])
		}
		tx.Add(el)
	}
}

func (b *nftBackend) element(k elementKey) *knftables.Element {
	if k.in == nftHairpins {
		return &knftables.Element{Set: k.in, Key: []string{k.key}}
	}
	return &knftables.Element{Map: k.in, Key: []string{k.key}}
}

// removeStale removes chains that an earlier transaction flushed: kernels before 6.2 remember for a moment that elements
// led to them. What cannot be removed yet is tried again.
func (b *nftBackend) removeStale(ctx context.Context, stale []string) (transactions uint32) {
	stale = slices.DeleteFunc(slices.Clone(stale), func(name string) bool { return !slices.Contains(b.stale, name) })
	if len(stale) == 0 {
		return 0
	}
	tx := b.nft.NewTransaction()
	for _, name := range stale {
		tx.Delete(&knftables.Chain{Name: name})
	}
	if b.nft.Run(ctx, tx) != nil {
		return 0
	}
	b.stale = slices.DeleteFunc(b.stale, func(name string) bool { return slices.Contains(stale, name) })
	return 1
}
