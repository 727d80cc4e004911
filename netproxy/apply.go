package netproxy

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// applier makes the kernel's rules equal to a ruleset. Not safe for concurrent use.
type applier struct {
	run    runner
	prefix string // of the names of the chains that are ours
	bridge string
	told   repairs

	// applied is what the kernel was last given, by table. A table that is missing has an unknown state:
	// at the start, where the chains of a daemon that was killed may still work, and after a failure.
	applied ruleset
}

func newApplier(tools *iptablesTools, instance, bridge string, log *slog.Logger) *applier {
	return &applier{run: tools, prefix: ChainPrefix(instance), bridge: bridge, told: newRepairs(log)}
}

// jump is a rule in a built-in chain that leads to the chain of ours with the same name.
type jump struct{ table, chain string }

func jumps() []jump {
	return []jump{
		{"filter", "INPUT"}, {"filter", "FORWARD"}, {"filter", "OUTPUT"},
		{"nat", "PREROUTING"}, {"nat", "OUTPUT"}, {"nat", "POSTROUTING"},
	}
}

// apply sends what differs from the last time, one transaction per table. Where the kernel's state is unknown it
// sends everything, removes chains that nobody wants any more, and sees to the jumps: traffic never finds a gap.
// It returns the number of transactions that it took, which is what the kernel counts.
func (a *applier) apply(ctx context.Context, want ruleset) (transactions uint32, err error) {
	for _, table := range tables() {
		n, err := a.applyTable(ctx, table, want[table])
		transactions += n
		if err != nil {
			return transactions, err
		}
	}
	return transactions, nil
}

func (a *applier) applyTable(ctx context.Context, table string, want chains) (transactions uint32, err error) {
	have, known := a.applied[table]
	var found tableState
	var jumps []string
	if !known {
		saved, err := a.run.save(ctx, table)
		if err != nil {
			return 0, err
		}
		found = a.parse(saved)
		jumps = a.changeJumps(table, found, want)
	}
	delete(a.applied, table)
	if text := restoreText(table, have, want, found.names(), jumps); text != nil {
		if err := a.run.restore(ctx, text); err != nil {
			return 0, fmt.Errorf("writing table %s: %w", table, err)
		}
		transactions++
	}
	if a.applied == nil {
		a.applied = ruleset{}
	}
	a.applied[table] = want
	return transactions, nil
}

// known tells whether the state of every table is.
func (a *applier) known() bool {
	for _, table := range tables() {
		if _, known := a.applied[table]; !known {
			return false
		}
	}
	return true
}

// changeJumps are the lines that take away the jumps to chains which nobody wants, for nothing may lead to a chain that is removed, add
// those that are missing, and put first those that others pushed down.
func (a *applier) changeJumps(table string, found tableState, want chains) (lines []string) {
	for _, j := range jumps() {
		to := a.prefix + j.chain
		_, wanted := want[to]
		if j.table != table || wanted && found.jumps[j.chain] > 0 && !found.shadowed[j.chain] {
			continue
		}
		for range found.jumps[j.chain] {
			lines = append(lines, "-D "+j.chain+" -j "+to)
		}
		if wanted {
			lines = append(lines, "-I "+j.chain+" 1 -j "+to)
		}
	}
	return lines
}

// verify compares the kernel's rules with what was applied. Where somebody changed them, the state becomes unknown,
// so that the next apply repairs it, and verify returns false. Rules are counted, not read: what iptables-save
// prints differs between versions, and the cases to notice are flushes and removals.
func (a *applier) verify(ctx context.Context) (bool, error) {
	whole := true
	for _, table := range tables() {
		want, known := a.applied[table]
		if !known {
			whole = false
			continue
		}
		saved, err := a.run.save(ctx, table)
		if err != nil {
			return whole, err
		}
		if what := a.differs(table, a.parse(saved), want); what != "" {
			a.told.tell("iptables", table, what)
			delete(a.applied, table)
			whole = false
		}
	}
	return whole, nil
}

// tableState is what iptables-save tells about our part of a table.
type tableState struct {
	rules    map[string]int  // how many rules each of our chains has
	jumps    map[string]int  // how many jumps to us each built-in chain has
	shadowed map[string]bool // built-in chains where rules before our jump take its packets away
}

// parse reads the output of iptables-save -t.
func (a *applier) parse(saved []byte) tableState {
	state := tableState{rules: map[string]int{}, jumps: map[string]int{}, shadowed: map[string]bool{}}
	for line := range bytes.Lines(saved) {
		text := strings.TrimSpace(string(line))
		if name, ok := strings.CutPrefix(text, ":"); ok {
			if name, _, _ = strings.Cut(name, " "); strings.HasPrefix(name, a.prefix) {
				state.rules[name] += 0
			}
			continue
		}
		rest, ok := strings.CutPrefix(text, "-A ")
		if !ok {
			continue
		}
		chain, rule, _ := strings.Cut(rest, " ")
		if strings.HasPrefix(chain, a.prefix) {
			state.rules[chain]++
		} else if rule == "-j "+a.prefix+chain {
			state.jumps[chain]++
		} else if chain == "FORWARD" && state.jumps[chain] == 0 && a.shadows(rule) {
			state.shadowed[chain] = true
		}
	}
	return state
}

// shadows tells whether a rule of FORWARD in front of our jump takes its packets away. Docker puts its rules for a
// bridge first when it makes the bridge's network and when it starts; the newer ones drop what goes to a container's
// port that is not published. What it puts first for any network drops what goes from one network to another, and so
// from a container to a Pod's hostPort. Nothing else is overtaken, so as not to fight over the first place.
func (a *applier) shadows(rule string) bool {
	return strings.Contains(rule, "-j DOCKER-ISOLATION-STAGE-1") || strings.Contains(rule, "-j DOCKER-FORWARD") ||
		strings.Contains(rule, "-i "+a.bridge+" ") || strings.Contains(rule, "-o "+a.bridge+" ")
}

func (t tableState) names() []string {
	var names []string
	for name := range t.rules {
		names = append(names, name)
	}
	return names
}

// differs says in a few words what is not as it should be, or nothing.
func (a *applier) differs(table string, found tableState, want chains) string {
	for _, j := range jumps() {
		if _, wanted := want[a.prefix+j.chain]; !wanted || j.table != table {
			continue
		}
		if found.jumps[j.chain] == 0 {
			return "no jump from " + j.chain
		}
		if found.shadowed[j.chain] {
			return shadowing + j.chain
		}
	}
	for name, rules := range want {
		if n, ok := found.rules[name]; !ok {
			return "no chain " + name
		} else if n != len(rules) {
			return fmt.Sprintf("%d rules instead of %d in chain %s", n, len(rules), name)
		}
	}
	if len(found.rules) != len(want) {
		return "chains that nobody asked for"
	}
	return ""
}
