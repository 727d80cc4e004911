package netproxy

import (
	"slices"
	"strings"
)

// chains maps the name of a chain to its rules, each as it stands behind "-A NAME ".
type chains map[string][]string

// add appends one rule, given in parts, to a chain; a chain without rules is made with add(chain).
func (c chains) add(chain string, parts ...string) {
	if len(parts) == 0 {
		c[chain] = c[chain][:len(c[chain]):len(c[chain])]
		return
	}
	c[chain] = append(c[chain], strings.Join(parts, " "))
}

// ruleset is everything that one instance wants in the kernel: its chains by table.
type ruleset map[string]chains

// tables in the order in which they are applied: what refuses stands before what translates.
func tables() []string { return []string{"filter", "nat"} }

// String is the whole state as iptables-restore takes it.
func (r ruleset) String() string {
	var b strings.Builder
	for _, table := range tables() {
		b.Write(restoreText(table, nil, r[table], nil, nil))
	}
	return b.String()
}

// restoreText is the transaction that turns one table from have into want, where stale are chains to remove beside
// those that are in have only, and jumps are the changes of built-in chains. It is empty when there is nothing to do. Declaring a chain
// also empties it.
func restoreText(table string, have, want chains, stale, jumps []string) []byte {
	var changed []string
	for name, rules := range want {
		if old, ok := have[name]; !ok || !slices.Equal(old, rules) {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	var gone []string
	for name := range have {
		if _, ok := want[name]; !ok {
			gone = append(gone, name)
		}
	}
	for _, name := range stale {
		if _, ok := want[name]; !ok {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	gone = slices.Compact(gone)
	if len(changed)+len(gone)+len(jumps) == 0 {
		return nil
	}

	var b strings.Builder
	b.WriteString("*" + table + "\n")
	for _, name := range slices.Concat(changed, gone) {
		b.WriteString(":" + name + " - [0:0]\n")
	}
	for _, name := range changed {
		for _, rule := range want[name] {
			b.WriteString("-A " + name + " " + rule + "\n")
		}
	}
	for _, line := range jumps {
		b.WriteString(line + "\n")
	}
	for _, name := range gone {
		b.WriteString("-X " + name + "\n")
	}
	b.WriteString("COMMIT\n")
	return []byte(b.String())
}
