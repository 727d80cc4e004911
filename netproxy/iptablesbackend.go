package netproxy

import "context"

// iptablesBackend has all rules in the tables of iptables.
type iptablesBackend struct {
	renderer renderer
	applier  *applier
	family   family
	instance string
	alone    bool // what the other backend left is gone
}

func (b *iptablesBackend) apply(ctx context.Context, want *desired, c changes) (uint32, error) {
	if c.none() && b.alone && b.applier.known() {
		return 0, nil
	}
	rules := b.renderer.render(want.settings, want.ports(), want.hosts)
	want.settings.addPolicies(rules["filter"], want.policies)
	transactions, err := b.applier.apply(ctx, rules)
	if err != nil || b.alone {
		return transactions, err
	}
	n, err := removeTable(ctx, b.family, b.instance)
	b.alone = err == nil
	return transactions + n, err
}

func (b *iptablesBackend) verify(ctx context.Context) (bool, error) { return b.applier.verify(ctx) }
